// Entry of a child process of `millrace start`: arguments are pools (`persist`, `persist:40` for a concurrency). Tells
// its parent over IPC when it is ready and what went wrong; stops on SIGTERM, SIGINT, and when its parent is gone. With
// --load-all it only loads what any of them needs (bin/millrace).
import { readConfig } from '../runtime/config.ts'
import { describeError } from '../runtime/errors.ts'
import { releaseWhenIdle } from '../runtime/idle-memory.ts'
import { waitForSignal } from '../runtime/lifecycle.ts'
import { createLog } from '../runtime/log.ts'
import { type Asked, runProcess } from './run-process.ts'

if (process.argv[2] === '--load-all') {
  await (await import('./load-all.ts')).loadAll()
  process.exit(0)
}

const asked: Asked[] = process.argv.slice(2).map((text) => {
  const [name = '', concurrency] = text.split(':')
  return concurrency === undefined ? { name } : { name, concurrency: Number(concurrency) }
})

const config = readConfig(process.env)
const log = createLog({ level: config.logLevel, service: asked.map((one) => one.name).join('+') })

try {
  releaseWhenIdle()
  const running = await runProcess(config, log, asked)
  process.send?.({ kind: 'ready', addresses: running.addresses })
  log.info({ pools: asked.map((one) => one.name) }, 'ready')
  const parentGone = new Promise<string>((resolve) =>
    process.once('disconnect', () => resolve('parent gone')),
  )
  const why = await Promise.race([waitForSignal(() => process.exit(1)), parentGone, running.resharded])
  log.info({ why }, 'stopping')
  const inTime = await running.stop()
  log.info({ inTime }, 'stopped')
  process.exit(inTime ? 0 : 1)
} catch (error) {
  log.fatal({ reason: describeError(error) }, 'could not start')
  process.send?.({ kind: 'failed', reason: describeError(error) })
  process.exitCode = 1
  process.disconnect?.()
}
