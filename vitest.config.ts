// Tests run on real Postgres and Redis that the global setup starts; files in parallel, each in its own database.
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['tests/**/*.test.ts'],
    globalSetup: ['tests/support/servers.ts'],
    pool: 'forks',
    maxWorkers: 2,
    // Google's clients would look for a metadata server.
    env: { METADATA_SERVER_DETECTION: 'none' },
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
})
