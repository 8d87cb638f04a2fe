// The deep run: what takes long or wants the machine to itself. `npm run faults`, `npm run test:deep -- --shard=1/4`. One
// file at a time, as each starts a whole deployment; every row writes a line of tests/results/.
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['tests/**/*.deep.ts'],
    globalSetup: ['tests/support/servers.ts'],
    reporters: ['default', './tests/support/deep-summary.ts'],
    pool: 'forks',
    fileParallelism: false,
    env: { METADATA_SERVER_DETECTION: 'none' },
    testTimeout: 240_000,
    hookTimeout: 120_000,
  },
})
