// What a process shows of itself to machines: /metrics (Prometheus), /healthz (is it alive: does it make progress?) and
// /readyz (can it serve or work?). Every worker process runs one; the queue exporter is one with a refresh before a scrape.
import { createServer, type ServerResponse } from 'node:http'
import type { Registry } from 'prom-client'
import { fail } from './errors.ts'
import type { Service } from './lifecycle.ts'
import type { Log } from './log.ts'

export type ProbeOptions = {
  name?: string
  host: string
  /** 0 = any free port. */
  port: number
  log: Log
  metrics: { registry: Registry }
  /** False while its stores do not answer: traffic goes elsewhere, the process stays. */
  isReady(): boolean | Promise<boolean>
  /** False when it does not make progress any more: the process is restarted. Must not depend on a store being up. */
  isAlive(): boolean | Promise<boolean>
  /** Brings gauges up to date before a scrape. */
  refresh?(): void | Promise<void>
}

/** Listens until stopped; throws `port_taken` naming the port. */
export async function startProbes(options: ProbeOptions): Promise<Service & { url: string; port: number }> {
  const { registry } = options.metrics
  const server = createServer((request, response) => {
    answer(request.url ?? '', response).catch((error: unknown) => {
      options.log.error({ reason: error instanceof Error ? error.message : 'unknown' }, 'probe failed')
      if (!response.headersSent) reply(response, 500, 'text/plain', 'failed\n')
    })
  })

  async function answer(url: string, response: ServerResponse): Promise<void> {
    switch (url.split('?')[0]) {
      case '/metrics':
        await options.refresh?.()
        return reply(response, 200, registry.contentType, await registry.metrics())
      case '/healthz':
        return verdict(response, await options.isAlive(), 'alive', 'no progress')
      case '/readyz':
        return verdict(response, await options.isReady(), 'ready', 'not ready')
      default:
        return reply(response, 404, 'text/plain', 'try /metrics, /healthz or /readyz\n')
    }
  }

  const port = await listen(server, options)
  return {
    name: options.name ?? 'probes',
    port,
    url: `http://${options.host}:${port}`,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function listen(server: ReturnType<typeof createServer>, { host, port }: ProbeOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      reject(fail('port_taken', `cannot listen on ${host}:${port}; choose another port or 0`, { cause }))
    })
    server.listen(port, host, () => {
      const address = server.address()
      resolve(typeof address === 'object' && address !== null ? address.port : port)
    })
  })
}

function verdict(response: ServerResponse, isGood: boolean, good: string, bad: string): void {
  reply(response, isGood ? 200 : 503, 'text/plain', `${isGood ? good : bad}\n`)
}

function reply(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' })
  response.end(body)
}
