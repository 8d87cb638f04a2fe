// Tests run on real Postgres and Redis that the global setup starts; files in parallel, each in its own database.
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

// Two hundred processes load the same packages: each but the first finds them compiled.
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL('./node_modules/.cache/tests', import.meta.url))

export default defineConfig({
  test: {
    include: ['tests/**/*.test.ts'],
    globalSetup: ['tests/support/servers.ts'],
    pool: 'forks',
    maxWorkers: 2,
    // Google's clients would look for a metadata server.
    env: { METADATA_SERVER_DETECTION: 'none' },
    testTimeout: 60_000,
    hookTimeout: 90_000,
  },
})
