// What `millrace help` prints, and the list of commands there are. One row a command; examples are real.
import { LISTS_HELP, METRICS_HELP, SEGMENTS_HELP } from './segments/help.ts'

export type CommandHelp = {
  name: string
  usage: string
  summary: string
  /** Those of its own that it has. */
  commands?: readonly (readonly [string, string])[]
  options?: readonly (readonly [string, string])[]
  examples: readonly string[]
}

export const COMMANDS = [
  {
    name: 'start',
    usage: 'start [pool[=processes]…] [--concurrency N]',
    summary: 'run everything here, or the pools you name',
    options: [['--concurrency N', 'jobs at once of the pools named before it']],
    examples: ['start', 'start persist --concurrency 4', 'start ingest=2 persist=4'],
  },
  {
    name: 'demo',
    usage: 'demo [options]',
    summary: 'replay a generated shop through the pipeline, check every count, stop',
    examples: ['demo'],
  },
  {
    name: 'bench',
    usage: 'bench [segments] [--json FILE] [--full] [--users N]',
    summary: 'measure this machine against a bare COPY of the same rows',
    options: [
      ['--json FILE', 'also write the figures there'],
      ['--full', 'also the rate with 1, 10 and 50 million stored rows: an hour, 30 GB'],
      [
        'segments',
        'instead: how fast segments are decided, beside one SQL statement, entered, left and read',
      ],
      ['--users N', 'with segments: so many people instead of 1,000,000'],
    ],
    examples: ['bench', 'bench --json figures.json', 'bench segments --users 100000'],
  },
  {
    name: 'status',
    usage: 'status [--all] [--watch] [--json]',
    summary: 'pools, depth, age and rate',
    options: [
      ['--all', 'a row for every queue instead of one a pool'],
      ['--watch', 'redraw every second until Ctrl-C'],
      ['--json', 'machine readable'],
    ],
    examples: ['status', 'status --all', 'status --json'],
  },
  {
    name: 'pause',
    usage: 'pause POOL|QUEUE…',
    summary: 'jobs keep arriving and wait; those under way finish',
    examples: ['pause deliver-email', 'pause segment'],
  },
  {
    name: 'resume',
    usage: 'resume POOL|QUEUE…',
    summary: 'let waiting jobs flow again',
    examples: ['resume deliver-email', 'resume segment'],
  },
  {
    name: 'reshard',
    usage: 'reshard N',
    summary: 'change the number of segment queues while everything runs; N divides 1,024',
    examples: ['reshard 32'],
  },
  {
    name: 'failed',
    usage: 'failed [list | show ID | discard] [--stage S] [--code C] [--id N] [--since T] [--limit N]',
    summary: 'what could not be kept or was given up, by reason: look, and discard what is of no use',
    options: [
      ['list', 'a row each instead of counts'],
      ['show ID', 'everything about one'],
      ['discard', 'give them up for good; the rows stay, marked and audited'],
      ['--stage S', 'only those that failed in this pool'],
      ['--code C', 'only those with this code'],
      ['--id N', 'only this one'],
      ['--since T', 'only those that failed since a time or age (2h)'],
      ['--limit N', 'at most so many, oldest first (10000; list 50)'],
      ['--payload', 'with show: also what it held, which may be personal data'],
      ['--yes', 'with discard: do it; without it only the counts are shown'],
      ['--json', 'with list and show: one JSON object a line'],
    ],
    examples: [
      'failed',
      'failed list --stage persist',
      'failed show 17',
      'failed discard --code invalid_event --yes',
    ],
  },
  {
    name: 'replay',
    usage: 'replay [--stage S] [--code C] [--id N] [--since T] [--limit N] [--yes]',
    summary: 'send events and jobs that failed again',
    options: [
      ['--stage S', 'only those that failed in this pool'],
      ['--code C', 'only those with this code'],
      ['--id N', 'only this one'],
      ['--since T', 'only those that failed since a time or age (2h)'],
      ['--limit N', 'at most so many, oldest first (1000)'],
      ['--yes', 'do it; without it only the counts are shown'],
    ],
    examples: [
      'replay',
      'replay --stage persist --code row_rejected --since 2h --yes',
      'replay --id 17 --yes',
    ],
  },
  {
    name: 'autoscale',
    usage: 'autoscale [options]',
    summary: 'start and stop pool processes here as the queues need them, until Ctrl-C',
    options: [
      ['--max-processes N', 'at most so many more, of all pools together (one a core)'],
      ['--every SECONDS', 'how often it looks and decides (5)'],
      ['--scale-down-after SECONDS', 'how long less must do before one is stopped (300)'],
      ['--dry-run', 'decide and show, start nothing'],
    ],
    examples: ['autoscale', 'autoscale --dry-run', 'autoscale --max-processes 4 --scale-down-after 60'],
  },
  {
    name: 'scale',
    usage: 'scale plan --events-per-second N [options] | scale capacity [--json]',
    summary: 'replicas, Redis, Postgres and cost for a load, out of measured figures',
    options: [
      ['--events-per-second N', 'at the peak'],
      ['--average-events-per-second N', 'over the day, for the disk (as the peak)'],
      ['--singles-percent N', 'events that come alone in a request (0)'],
      ['--messages-per-1000-events N', 'messages sent (4)'],
      ['--backlog-seconds N', 'peak that Redis must hold while pods start (60)'],
      ['--retention-days N', 'how long events stay (MILLRACE_RETENTION_DAYS)'],
      ['--shards N', 'segment queues (MILLRACE_SHARDS)'],
      ['--prices NAME=USD,…', 'other prices than those shown'],
      ['--json', 'machine readable'],
    ],
    examples: [
      'scale capacity',
      'scale plan --events-per-second 50000',
      'scale plan --events-per-second 50000 --average-events-per-second 12000 --singles-percent 20',
      'scale plan --events-per-second 1000000 --shards 32 --prices podVcpuHour=0.03 --json',
    ],
  },
  {
    name: 'keys',
    usage: 'keys [list] | keys create --source NAME | keys create --secret | keys revoke ID',
    summary: 'write keys and secret keys',
    options: [
      ['--source NAME', 'the source a write key writes for; made if it is new'],
      ['--secret', 'make a secret key (read and admin) instead'],
      ['--name TEXT', 'what you call it'],
      ['--origins A,B', 'exact origins a browser may send from'],
      ['--ips A,B', 'addresses or CIDR ranges that may send'],
      ['--rate N', 'events a second'],
      ['--json', 'machine readable'],
    ],
    examples: [
      'keys',
      'keys create --source web --origins https://shop.example',
      'keys create --secret',
      'keys revoke 3',
    ],
  },
  SEGMENTS_HELP,
  LISTS_HELP,
  METRICS_HELP,
  {
    name: 'tail',
    usage: 'tail [SOURCE] [--lines N] [--once] [--json]',
    summary: 'events as they arrive, each with its verdict',
    options: [
      ['--lines N', 'how many of the past to show first (20)'],
      ['--once', 'show those and stop'],
      ['--json', 'one JSON object a line'],
    ],
    examples: ['tail', 'tail web', 'tail web --json'],
  },
  {
    name: 'doctor',
    usage: 'doctor [--json]',
    summary: 'what is missing or wrong here, and how to mend it',
    options: [['--json', 'machine readable']],
    examples: ['doctor'],
  },
  {
    name: 'migrate',
    usage: 'migrate',
    summary: 'bring the database to the schema of this version',
    examples: ['migrate'],
  },
  {
    name: 'backup',
    usage: 'backup DIR',
    summary: 'everything in Postgres as of one instant, into a new folder, while all runs',
    examples: ['backup backups/2026-11-21'],
  },
  {
    name: 'restore',
    usage: 'restore DIR [--yes]',
    summary: 'a backup into an empty deployment; every count and content is compared',
    options: [['--yes', 'do it; without it only what the backup holds is shown']],
    examples: ['restore backups/2026-11-21', 'restore backups/2026-11-21 --yes'],
  },
  {
    name: 'reset',
    usage: 'reset --yes',
    summary: 'delete all data of this deployment: schema, queues and local files',
    options: [['--yes', 'really']],
    examples: ['reset --yes'],
  },
  {
    name: 'config',
    usage: 'config print [--json]',
    summary: 'every setting with its value and why it is there',
    options: [['--json', 'machine readable']],
    examples: ['config print'],
  },
] as const satisfies readonly CommandHelp[]

export type CommandName = (typeof COMMANDS)[number]['name']

export function isCommand(name: string): name is CommandName {
  return COMMANDS.some((command) => command.name === name)
}

/** The list of commands. */
export function overview(): string {
  const width = Math.max(...COMMANDS.map((command) => command.name.length))
  return [
    'Millrace collects events, keeps each once, segments people and delivers to them.',
    '',
    'Usage: millrace COMMAND [options]',
    '',
    ...COMMANDS.map((command) => `  ${command.name.padEnd(width)}  ${command.summary}`),
    '',
    'Examples:',
    '  millrace start                     everything, here',
    '  millrace status --watch            see it work',
    '  millrace keys create --source web  a key to send with',
    '',
    'millrace help COMMAND says more. Exit codes: 0 done, 1 failed, 2 used wrongly.',
    '',
  ].join('\n')
}

/** Usage, commands, options and examples of one command. */
export function helpOf(name: CommandName): string {
  const command: CommandHelp | undefined = COMMANDS.find((candidate) => candidate.name === name)
  if (command === undefined) return overview()
  return [
    `Usage: millrace ${command.usage}`,
    '',
    `  ${command.summary}`,
    ...section('Commands:', command.commands),
    ...section('Options:', command.options),
    '',
    'Examples:',
    ...command.examples.map((example) => `  millrace ${example}`),
    '',
  ].join('\n')
}

function section(title: string, rows: CommandHelp['options'] = []): string[] {
  const width = Math.max(0, ...rows.map(([name]) => name.length))
  return rows.length === 0 ? [] : ['', title, ...rows.map(([name, why]) => `  ${name.padEnd(width)}  ${why}`)]
}
