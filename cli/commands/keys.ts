// millrace keys: list, make and revoke keys. The text of a key is printed once, when it is made; its hash is what is kept.
import { randomBytes } from 'node:crypto'
import { isIP } from 'node:net'
import { fail } from '../../runtime/errors.ts'
import { recordAudit } from '../../store/audit.ts'
import { issueKey, type KeyRow, listKeys, type NewKey, revokeKey } from '../../store/keys.ts'
import { ensureSource } from '../../store/sources.ts'
import { commaList, nearest, type Parsed, parseOptions, wholeNumber } from '../args.ts'
import { type System, withSystem } from '../connect.ts'
import type { CliIo } from '../io.ts'
import { paint, table } from '../table.ts'

const OPTIONS = {
  source: 'string',
  secret: 'boolean',
  name: 'string',
  origins: 'string',
  ips: 'string',
  rate: 'string',
  json: 'boolean',
} as const
type Options = Parsed<typeof OPTIONS>['options']

export async function run(args: string[], io: CliIo): Promise<number> {
  const { options, positionals } = parseOptions(args, OPTIONS, 2)
  const [verb = 'list', target] = positionals
  switch (verb) {
    case 'list':
      return withSystem(io, (system) => list(system, options, io))
    case 'create': {
      if (target !== undefined) throw fail('invalid_request', `${target} is one argument too many`)
      const wanted = wantedKey(options)
      return withSystem(io, (system) => create(system, wanted, options, io))
    }
    case 'revoke': {
      const keyId = wholeNumber(target ?? '', 'ID', { min: 1, max: Number.MAX_SAFE_INTEGER }) ?? 0
      return withSystem(io, (system) => revoke(system, keyId, io))
    }
    default: {
      const near = nearest(verb, ['list', 'create', 'revoke'])
      throw fail(
        'invalid_request',
        `keys cannot ${verb}: ${near === undefined ? 'list, create or revoke' : `did you mean ${near}?`}`,
      )
    }
  }
}

type Wanted = Omit<NewKey, 'sourceId'> & { source: string | undefined }

/** Checked before anything is connected or made. */
function wantedKey(options: Options): Wanted {
  const { source, secret } = options
  if ((source === undefined) === (secret !== true)) {
    throw fail(
      'invalid_request',
      'name the source of a write key with --source NAME, or ask for a secret key with --secret',
    )
  }
  if (source !== undefined && (source.trim() === '' || source.length > 100)) {
    throw fail('invalid_request', 'a source name has 1 to 100 characters')
  }
  const allowedOrigins = commaList(options.origins)
  for (const origin of allowedOrigins) {
    if (!/^https?:\/\/[^/\s]+$/.test(origin))
      throw fail('invalid_request', `${origin} is not an origin such as https://shop.example`)
  }
  const allowedIps = commaList(options.ips)
  for (const ip of allowedIps) {
    if (!isAddressOrRange(ip))
      throw fail('invalid_request', `${ip} is neither an IP address nor a CIDR range`)
  }
  const rate = wholeNumber(options.rate, 'rate', { min: 1, max: 1_000_000 })
  return {
    kind: secret ? 'sec' : 'pub',
    source,
    name: options.name ?? '',
    allowedOrigins,
    allowedIps,
    ...(rate === undefined ? {} : { rateLimitPerSecond: rate }),
  }
}

function isAddressOrRange(text: string): boolean {
  const [address = '', bits, extra] = text.split('/')
  const version = isIP(address)
  if (version === 0 || extra !== undefined) return false
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128))
}

async function create({ sql }: System, wanted: Wanted, options: Options, io: CliIo): Promise<number> {
  const { source, ...key } = wanted
  const sourceId = source === undefined ? undefined : await ensureSource(sql, source)
  const issued = await issueKey(
    sql,
    { ...key, ...(sourceId === undefined ? {} : { sourceId }) },
    randomBytes(16),
  )
  await recordAudit(sql, {
    actor: 'cli',
    action: 'key.create',
    target: String(issued.keyId),
    details: { kind: key.kind, sourceId: sourceId ?? null },
  })
  if (options.json) io.write(`${JSON.stringify({ ...issued, kind: key.kind, sourceId: sourceId ?? null })}\n`)
  else {
    io.write(`${issued.key}\n`)
    io.writeError(
      `Key ${issued.keyId}${source === undefined ? ', secret: read and admin' : ` writes for ${source}`}. It is shown this once.\n`,
    )
  }
  return 0
}

async function revoke({ sql }: System, keyId: number, io: CliIo): Promise<number> {
  if (!(await revokeKey(sql, keyId))) {
    io.writeError(`There is no key ${keyId}, or it was revoked before.\n`)
    return 1
  }
  await recordAudit(sql, { actor: 'cli', action: 'key.revoke', target: String(keyId) })
  io.write(`Key ${keyId} is revoked; it stops working everywhere within 5 seconds.\n`)
  return 0
}

async function list({ sql }: System, options: Options, io: CliIo): Promise<number> {
  const rows = await listKeys(sql)
  if (options.json) {
    io.write(`${JSON.stringify(rows)}\n`)
    return 0
  }
  if (rows.length === 0) {
    io.write('There is no key yet: millrace keys create --source NAME makes one.\n')
    return 0
  }
  const titles = ['ID', 'KIND', 'SOURCE', 'NAME', 'KEY', 'LIMITS', 'LAST USED', 'STATE']
  io.write(
    table(
      titles.map((title) => ({ title })),
      rows.map((row) => cellsOf(row, io)),
    ),
  )
  return 0
}

function cellsOf(row: KeyRow, io: CliIo): string[] {
  const limits = [
    ...row.allowedOrigins,
    ...row.allowedIps,
    ...(row.rateLimitPerSecond === null ? [] : [`${row.rateLimitPerSecond}/s`]),
  ]
  return [
    String(row.keyId),
    row.kind === 'pub' ? 'write' : 'secret',
    row.sourceName ?? '-',
    row.name === '' ? '-' : row.name,
    `mk_${row.kind}_…${row.lastFour}`,
    limits.length === 0 ? '-' : limits.join(' '),
    row.lastUsedAt?.toISOString() ?? 'never',
    row.revokedAt === null ? 'active' : paint('revoked', 'dim', io.colours),
  ]
}
