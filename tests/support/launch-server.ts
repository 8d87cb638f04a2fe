// A program that tests run in a process of its own, to kill it or to run it as another user: starts a local server
// (`postgres` or `redis`) in a folder, prints one JSON line about it, and stays, or exits without stopping it (`exit`).
import { startPostgres } from '../../cli/local/postgres.ts'
import { startRedis } from '../../cli/local/redis.ts'
import type { LocalServer } from '../../cli/local/server.ts'

const [kind = '', dir = '', then = 'stay'] = process.argv.slice(2)
const log = () => {}
const server: LocalServer =
  kind === 'postgres'
    ? await startPostgres({ dir, port: 0, log })
    : await startRedis({ dir, port: 0, log, env: process.env })
process.stdout.write(`${JSON.stringify({ url: server.url, port: server.port, pid: server.pid })}\n`, () => {
  if (then === 'exit') process.exit(0)
})
process.on('SIGTERM', () => server.stop().then(() => process.exit(0)))
if (then === 'stay') setInterval(() => {}, 60_000)
