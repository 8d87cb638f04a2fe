// The command line: finds the command, runs it, and turns what it throws into a sentence and an exit code (0 done,
// 1 failed, 2 used wrongly). bin/millrace runs this file with Node 24; tests call `runCli`.
import packageFile from '../package.json' with { type: 'json' }
import { describeError, errorCodeOf, MillraceError } from '../runtime/errors.ts'
import { nearest } from './args.ts'
import { COMMANDS, type CommandName, helpOf, isCommand, overview } from './help.ts'
import { type CliIo, processIo } from './io.ts'

type Command = { run(args: string[], io: CliIo): Promise<number> }

/** Loaded when asked for: `status` does not pay for what `start` needs. */
const LOAD: Record<CommandName, () => Promise<Command>> = {
  start: () => import('./commands/start.ts'),
  demo: () => import('./commands/demo.ts'),
  bench: () => import('./commands/bench.ts'),
  status: () => import('./commands/status.ts'),
  pause: () => import('./commands/pause.ts'),
  resume: () => import('./commands/resume.ts'),
  reshard: () => import('./commands/reshard.ts'),
  backup: () => import('./commands/backup.ts'),
  restore: () => import('./commands/restore.ts'),
  failed: () => import('./commands/failed.ts'),
  replay: () => import('./commands/replay.ts'),
  autoscale: () => import('./commands/autoscale.ts'),
  scale: () => import('./commands/scale.ts'),
  keys: () => import('./commands/keys.ts'),
  segments: () => import('./commands/segments.ts'),
  lists: () => import('./commands/lists.ts'),
  metrics: () => import('./commands/metrics.ts'),
  tail: () => import('./commands/tail.ts'),
  doctor: () => import('./commands/doctor.ts'),
  migrate: () => import('./commands/migrate.ts'),
  reset: () => import('./commands/reset.ts'),
  config: () => import('./commands/config.ts'),
}

/** Runs one command line (without the program's name); resolves with its exit code and never throws. */
export async function runCli(args: string[], io: CliIo): Promise<number> {
  const [first, ...rest] = args
  if (first === undefined || first === 'help' || first === '--help' || first === '-h') {
    const [about] = rest
    io.write(about !== undefined && isCommand(about) ? helpOf(about) : overview())
    return 0
  }
  if (first === '--version') {
    io.write(`millrace ${packageFile.version}, node ${process.version}\n`)
    return 0
  }
  if (!isCommand(first)) return unknownCommand(first, io)
  if (rest.includes('--help') || rest.includes('-h')) {
    io.write(helpOf(first))
    return 0
  }
  try {
    const command = await LOAD[first]()
    return await command.run(rest, io)
  } catch (error) {
    return answerError(error, first, io)
  }
}

function unknownCommand(name: string, io: CliIo): number {
  const near = nearest(
    name,
    COMMANDS.map((command) => command.name),
  )
  const hint = near === undefined ? 'millrace help lists them' : `did you mean ${near}?`
  io.writeError(`millrace: there is no command ${name}: ${hint}\n`)
  return 2
}

function answerError(error: unknown, command: CommandName, io: CliIo): number {
  if (error instanceof MillraceError && error.code === 'invalid_request') {
    io.writeError(`millrace ${command}: ${error.detail}\nmillrace help ${command} says more.\n`)
    return 2
  }
  const text = error instanceof MillraceError ? error.detail : describeError(error)
  io.writeError(`millrace ${command}: ${text}\n`)
  return 1
}

/** This file as a program; bin/millrace calls it. Exits at once with the command's code. */
export async function runAsProgram(): Promise<void> {
  // `millrace status | head`: who reads has had enough.
  process.stdout.on('error', (error) => {
    if (errorCodeOf(error) === 'EPIPE') process.exit(0)
  })
  // bin/millrace holds the other end when it had to look for another Node: without it we stop as on SIGTERM.
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'))
  process.channel?.unref()
  // The terminal was closed.
  process.on('SIGHUP', () => process.kill(process.pid, 'SIGTERM'))
  // Commands that mind no signal still leave by the door, so that local servers are told to end.
  for (const [signal, number] of [
    ['SIGINT', 2],
    ['SIGTERM', 15],
  ] as const)
    process.on(signal, () => {
      if (process.listenerCount(signal) === 1) process.exit(128 + number)
    })
  const code = await runCli(process.argv.slice(2), processIo())
  // What an interrupted command left under way must not keep us.
  process.stdout.write('', () => process.exit(code))
}

if (import.meta.main) await runAsProgram()
