// A BigQuery that a test can look into: the endpoints that the Google client calls for datasets, tables, load jobs by
// upload, and query jobs, over real HTTP. It knows one statement, our MERGE, and does what it says to rows in memory.
// Job ids can be used once, load jobs are all or nothing beyond `maxBadRecords`, and faults can be put in its way.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { gunzipSync } from 'node:zlib'

export type Row = Record<string, unknown>
type Table = { fields: Set<string>; metadata: Row; rows: Row[] }
type Job = { id: string; kind: 'load' | 'query'; error?: { reason: string; message: string } }

export type BigQueryServer = Awaited<ReturnType<typeof startBigQueryServer>>

export async function startBigQueryServer(project: string) {
  const tables = new Map<string, Table>()
  const jobs: Job[] = []
  let hasDataset = false
  let failNext: ((method: string, path: string) => boolean) | undefined

  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    const body = await readBody(request)
    const url = new URL(request.url ?? '/', 'http://local')
    const path = url.pathname.replace(/^(\/upload)?\/bigquery\/v2/, '$1').replace(`/projects/${project}`, '')
    const reply = (status: number, json: unknown) => {
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(JSON.stringify(json))
    }
    const problem = (status: number, reason: string) =>
      reply(status, { error: { code: status, message: reason, errors: [{ reason, message: reason }] } })
    if (failNext?.(request.method ?? '', path) === true) {
      failNext = undefined
      return problem(501, 'notImplemented')
    }
    const route = `${request.method} ${path}`
    if (route === 'POST /datasets') {
      if (hasDataset) return problem(409, 'duplicate')
      hasDataset = true
      return reply(200, {})
    }
    if (/^GET \/datasets\/\w+$/.test(route)) {
      return hasDataset ? reply(200, { location: 'EU' }) : problem(404, 'notFound')
    }
    if (/^POST \/datasets\/\w+\/tables$/.test(route)) {
      const metadata = JSON.parse(body.toString())
      const name: string = metadata.tableReference.tableId
      if (tables.has(name)) return problem(409, 'duplicate')
      const fields = new Set<string>(metadata.schema.fields.map((field: { name: string }) => field.name))
      tables.set(name, { fields, metadata, rows: [] })
      return reply(200, metadata)
    }
    if (/^DELETE \/datasets\/\w+\/tables\/\w+$/.test(route)) {
      return tables.delete(path.split('/').at(-1) ?? '') ? reply(204, {}) : problem(404, 'notFound')
    }
    if (route === 'POST /upload/jobs') return addJob(readUpload(request, body))
    if (route === 'POST /jobs') return addJob({ metadata: JSON.parse(body.toString()) })
    if (request.method === 'GET' && path.startsWith('/jobs/')) {
      const job = jobs.find(({ id }) => id === path.slice('/jobs/'.length))
      return job === undefined ? problem(404, 'notFound') : reply(200, described(job))
    }
    return problem(404, `notKnown ${route}`)

    function addJob({ metadata, upload }: { metadata: Row; upload?: Buffer }): void {
      const { jobId } = metadata.jobReference as { jobId: string }
      if (jobs.some(({ id }) => id === jobId)) {
        problem(409, 'duplicate')
        return
      }
      const { load, query } = metadata.configuration as { load?: Row; query?: { query: string } }
      const job: Job = { id: jobId, kind: load === undefined ? 'query' : 'load' }
      try {
        if (load !== undefined) runLoad(tables, load, upload ?? Buffer.alloc(0))
        if (query !== undefined) runMerge(tables, query.query)
      } catch (error) {
        job.error = { reason: 'invalid', message: error instanceof Error ? error.message : 'failed' }
      }
      jobs.push(job)
      reply(200, described(job))
    }
  }

  function described(job: Job): Row {
    return {
      jobReference: { projectId: project, jobId: job.id, location: 'EU' },
      configuration: {},
      status: {
        state: 'DONE',
        ...(job.error === undefined ? {} : { errorResult: job.error, errors: [job.error] }),
      },
    }
  }

  const server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => {
      response.writeHead(400)
      response.end(String(error))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0

  return {
    url: `http://127.0.0.1:${port}`,
    jobs,
    tableNames: () => [...tables.keys()],
    metadataOf: (name: string) => tables.get(name)?.metadata,
    rowsOf: (name: string) => tables.get(name)?.rows ?? [],
    /** The next request that matches is refused with an error that clients do not retry by themselves. */
    failOnce(matches: (method: string, path: string) => boolean) {
      failNext = matches
    },
    faultIsSpent: () => failNext === undefined,
    async stop() {
      server.closeAllConnections()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  const body = Buffer.concat(chunks)
  return request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body
}

/** multipart/related: a JSON part, then the file. */
function readUpload(request: IncomingMessage, body: Buffer): { metadata: Row; upload: Buffer } {
  const boundary = /boundary="?([^";]+)"?/.exec(request.headers['content-type'] ?? '')?.[1]
  if (boundary === undefined) throw new Error('an upload without boundary')
  const parts: Buffer[] = []
  const mark = Buffer.from(`--${boundary}`)
  for (let from = body.indexOf(mark); from !== -1; ) {
    const next = body.indexOf(mark, from + mark.length)
    if (next === -1) break
    const part = body.subarray(from + mark.length + 2, next - 2)
    parts.push(part.subarray(part.indexOf('\r\n\r\n') + 4))
    from = next
  }
  return { metadata: JSON.parse(parts[0]?.toString() ?? ''), upload: parts[1] ?? Buffer.alloc(0) }
}

function runLoad(tables: Map<string, Table>, load: Row, upload: Buffer): void {
  const { tableId } = load.destinationTable as { tableId: string }
  const table = tables.get(tableId)
  if (table === undefined) throw new Error(`no table ${tableId}`)
  const rows: Row[] = []
  let bad = 0
  for (const line of gunzipSync(upload).toString().trimEnd().split('\n')) {
    const row = parseRow(line, table.fields, load.ignoreUnknownValues === true)
    if (row === undefined) bad += 1
    else rows.push(row)
  }
  if (bad > Number(load.maxBadRecords ?? 0)) throw new Error(`${bad} bad lines`)
  table.rows = load.writeDisposition === 'WRITE_TRUNCATE' ? rows : [...table.rows, ...rows]
}

function parseRow(line: string, fields: Set<string>, ignoreUnknown: boolean): Row | undefined {
  const row: Row = JSON.parse(line)
  if (typeof row.rowKey !== 'string' || Number.isNaN(Date.parse(String(row.timestamp)))) return undefined
  // What a test calls unreadable.
  if (JSON.stringify(row.properties ?? {}).includes('UNREADABLE')) return undefined
  const known = Object.entries(row).filter(([name]) => fields.has(name))
  return ignoreUnknown || known.length === Object.keys(row).length ? Object.fromEntries(known) : undefined
}

const MERGE =
  /^merge `\w+\.(\w+)` t\s+using \(\s*select \* from `\w+\.(\w+)`\s+where true\s+qualify row_number\(\) over \(partition by rowKey order by receivedAt, timestamp\) = 1\s*\) s\s+on t\.rowKey = s\.rowKey and t\.timestamp between timestamp\('([^']+)'\) and timestamp\('([^']+)'\)\s+when not matched then insert \(([^)]+)\) values \(([^)]+)\)$/

function runMerge(tables: Map<string, Table>, query: string): void {
  const parts = MERGE.exec(query)
  if (parts === null) throw new Error('a statement that this server does not know')
  const [, target = '', source = '', from = '', to = '', names = '', values = ''] = parts
  const into = tables.get(target)
  const staged = tables.get(source)
  if (into === undefined || staged === undefined) throw new Error('a table that is not there')
  const columns = names.split(', ').map((name) => name.replaceAll('`', ''))
  if (
    values !==
    names
      .split(', ')
      .map((name) => `s.${name}`)
      .join(', ')
  )
    throw new Error('columns do not match')
  const inSpan = (row: Row) =>
    Date.parse(String(row.timestamp)) >= Date.parse(from) &&
    Date.parse(String(row.timestamp)) <= Date.parse(to)
  const there = new Set(into.rows.filter(inSpan).map((row) => row.rowKey))
  const first = new Map<unknown, Row>()
  const order = (row: Row) => `${row.receivedAt} ${row.timestamp}`
  for (const row of staged.rows) {
    const earlier = first.get(row.rowKey)
    if (earlier === undefined || order(row) < order(earlier)) first.set(row.rowKey, row)
  }
  for (const [key, row] of first) {
    if (!there.has(key)) into.rows.push(Object.fromEntries(columns.map((name) => [name, row[name] ?? null])))
  }
}
