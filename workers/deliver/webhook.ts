// Webhooks: a signed POST (Standard Webhooks). The id is stable over retries, so a receiver recognises a message that
// comes twice and a request without an answer is tried again; what a killed worker had under way is not. Only https to
// public addresses, checked after resolving and connected to as checked; the local receiver is the one exception.
import { lookup } from 'node:dns/promises'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { BlockList, isIP } from 'node:net'
import pLimit from 'p-limit'
import { signWebhook } from '../../domain/webhook-signature.ts'
import { errorCodeOf } from '../../runtime/errors.ts'
import type { Outgoing, Provider, SendOutcome } from './provider.ts'

const TIMEOUT_MS = 10_000
const MAX_REPLY_BYTES = 64 * 1024
/** Requests to one receiver at a time: a slow one must not take every slot of the pool. */
const PER_RECEIVER = 8

export function createWebhookProvider(options: { url: string; secret: string; real: boolean }): Provider {
  const limit = pLimit(PER_RECEIVER)
  return {
    real: options.real,
    send: (message, signal) => limit(() => post(options, message, signal)),
    async close() {
      limit.clearQueue()
    },
  }
}

async function post(
  options: { url: string; secret: string; real: boolean },
  message: Outgoing,
  signal: AbortSignal,
): Promise<SendOutcome> {
  if (signal.aborted) return { kind: 'later', reason: 'this process stops' }
  const url = new URL(options.url)
  const target = options.real ? await checkedAddress(url) : { address: url.hostname }
  if ('refused' in target) return { kind: 'refused', reason: target.refused }
  const body = JSON.stringify({
    type: 'segment.entered',
    timestamp: new Date().toISOString(),
    data: message.data,
  })
  const headers = {
    'content-type': 'application/json',
    'content-length': String(Buffer.byteLength(body)),
    'user-agent': 'Millrace-Webhooks',
    ...signWebhook(options.secret, { id: message.key, timestampS: Math.floor(Date.now() / 1000), body }),
  }
  try {
    const status = await exchange(url, target.address, { headers, body })
    if (status >= 200 && status < 300) return { kind: 'sent', providerMessageId: `${status}` }
    if (status === 429 || status === 408 || status >= 500) return { kind: 'later', reason: `HTTP ${status}` }
    return { kind: 'refused', reason: `HTTP ${status}` }
  } catch (error) {
    return { kind: 'later', reason: `the receiver did not answer (${errorCodeOf(error)})` }
  }
}

/**
 * Sends to the address that was checked, with the name kept for TLS and Host; redirects are not followed. What is on its
 * way is not cut when the process stops: the receiver may have it already, and would get it twice.
 */
function exchange(
  url: URL,
  address: string,
  options: { headers: Record<string, string>; body: string },
): Promise<number> {
  const isTls = url.protocol === 'https:'
  return new Promise((resolve, reject) => {
    const request = (isTls ? httpsRequest : httpRequest)({
      host: address,
      port: url.port === '' ? (isTls ? 443 : 80) : Number(url.port),
      path: `${url.pathname}${url.search}`,
      method: 'POST',
      headers: { ...options.headers, host: url.host },
      ...(isTls ? { servername: url.hostname } : {}),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    request.on('error', reject)
    request.on('response', (response) => {
      let bytes = 0
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        if (bytes > MAX_REPLY_BYTES) request.destroy()
      })
      response.on('error', () => {})
      resolve(response.statusCode ?? 0)
    })
    request.end(options.body)
  })
}

/** Resolves once and refuses every address that is not on the public internet, and every port but the usual two. */
export async function checkedAddress(url: URL): Promise<{ address: string } | { refused: string }> {
  if (url.protocol !== 'https:') return { refused: 'webhooks go to https only' }
  if (url.port !== '' && url.port !== '443' && url.port !== '8443')
    return { refused: 'webhooks go to port 443 or 8443 only' }
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const found =
    isIP(host) > 0
      ? [{ address: host, family: isIP(host) }]
      : await lookup(host, { all: true }).catch(() => [])
  const [first] = found
  if (first === undefined) return { refused: 'the receiver’s name does not resolve' }
  if (found.some((one) => isPrivate(one.address)))
    return { refused: 'the receiver resolves to an address that is not public' }
  return { address: first.address }
}

const PRIVATE = new BlockList()
for (const [net, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
] as const) {
  PRIVATE.addSubnet(net, bits, 'ipv4')
}
for (const [net, bits] of [
  ['::', 128],
  ['::1', 128],
  ['64:ff9b::', 96],
  ['100::', 64],
  ['2001:db8::', 32],
  ['fc00::', 7],
  ['fe80::', 10],
  ['ff00::', 8],
] as const) {
  PRIVATE.addSubnet(net, bits, 'ipv6')
}

function isPrivate(address: string): boolean {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  if (mapped !== undefined) return isPrivate(mapped)
  // Other spellings of a mapped address (hex) are refused with the whole range.
  if (/^::ffff:/i.test(address)) return true
  return PRIVATE.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
}
