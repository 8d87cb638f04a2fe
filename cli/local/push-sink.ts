// A local server that speaks FCM's HTTP v1 over TLS under its own certificate authority, so that firebase-admin's real
// code path runs: `POST /v1/projects/<project>/messages:send`. Tokens that start with `unregistered`, `quota` or
// `unavailable` are answered the way Google answers them. Faults for tests: `unavailable`, `cut` (kept, no answer).
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'
import { type Fault, nextFault, openSinkLog, type SinkLog } from './sink-log.ts'

export type PushSink = { port: number; caFile: string; log: SinkLog; faults: Fault[]; stop(): Promise<void> }

export async function startPushSink(options: { dir: string; file: string; port: number }): Promise<PushSink> {
  const tls = await certificates(options.dir)
  const log = openSinkLog(options.file)
  const faults: Fault[] = []
  let number = log.count()
  const server = createServer({ key: tls.key, cert: tls.cert }, (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const answer = (status: number, body: unknown) => {
        response.writeHead(status, {
          'content-type': 'application/json',
          ...(status === 429 ? { 'retry-after': '1' } : {}),
        })
        response.end(JSON.stringify(body))
      }
      const project = /^\/v1\/projects\/([^/]+)\/messages:send$/.exec(request.url ?? '')?.[1]
      if (request.method !== 'POST' || project === undefined)
        return answer(404, fcmError(404, 'NOT_FOUND', 'UNSPECIFIED_ERROR'))
      if (!/^Bearer .+/.test(request.headers.authorization ?? ''))
        return answer(401, fcmError(401, 'UNAUTHENTICATED', 'THIRD_PARTY_AUTH_ERROR'))
      const message = readMessage(Buffer.concat(chunks))
      if (message === undefined) return answer(400, fcmError(400, 'INVALID_ARGUMENT', 'INVALID_ARGUMENT'))
      const token = message.token
      const fault = nextFault(faults)
      if (token.startsWith('unregistered')) return answer(404, fcmError(404, 'NOT_FOUND', 'UNREGISTERED'))
      if (token.startsWith('quota')) return answer(429, fcmError(429, 'RESOURCE_EXHAUSTED', 'QUOTA_EXCEEDED'))
      if (token.startsWith('unavailable') || fault === 'unavailable')
        return answer(503, fcmError(503, 'UNAVAILABLE', 'UNAVAILABLE'))
      number += 1
      const id = `projects/${project}/messages/${number}`
      log.append({
        at: new Date().toISOString(),
        id,
        to: token,
        title: message.title,
        body: message.body,
        data: message.data,
      })
      if (fault === 'cut') return request.socket.destroy()
      answer(200, { name: id })
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port, '127.0.0.1', () => resolve())
  })
  const { port } = server.address() as AddressInfo
  return {
    port,
    caFile: tls.caFile,
    log,
    faults,
    async stop() {
      server.closeAllConnections()
      await new Promise<void>((resolve) => server.close(() => resolve()))
      log.close()
    },
  }
}

type FcmMessage = { token: string; title: string; body: string; data: Record<string, unknown> }

function readMessage(body: Buffer): FcmMessage | undefined {
  try {
    const { message } = JSON.parse(body.toString('utf8'))
    if (typeof message?.token !== 'string') return undefined
    return {
      token: message.token,
      title: String(message.notification?.title ?? ''),
      body: String(message.notification?.body ?? ''),
      data: message.data ?? {},
    }
  } catch {
    return undefined
  }
}

function fcmError(code: number, status: string, errorCode: string) {
  return {
    error: {
      code,
      status,
      message: status,
      details: [{ '@type': 'type.googleapis.com/google.firebase.fcm.v1.FcmError', errorCode }],
    },
  }
}

/** A certificate authority and a certificate for Google's host names, made once a data folder. */
async function certificates(dir: string): Promise<{ key: string; cert: string; caFile: string }> {
  mkdirSync(dir, { recursive: true })
  const files = {
    key: join(dir, 'fcm-key.pem'),
    cert: join(dir, 'fcm-cert.pem'),
    ca: join(dir, 'fcm-ca.pem'),
  }
  if (!existsSync(files.ca)) {
    const made = await makeCertificates()
    writeFileSync(files.key, made.key, { mode: 0o600 })
    writeFileSync(files.cert, made.cert)
    writeFileSync(files.ca, made.ca)
  }
  return { key: readFileSync(files.key, 'utf8'), cert: readFileSync(files.cert, 'utf8'), caFile: files.ca }
}

async function makeCertificates(): Promise<{ key: string; cert: string; ca: string }> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  x509.cryptoProvider.set(globalThis.crypto)
  const span = {
    notBefore: new Date(Date.now() - 86_400_000),
    notAfter: new Date(Date.now() + 10 * 365 * 86_400_000),
  }
  const caKeys = await globalThis.crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: 'CN=Millrace local push sink',
    ...span,
    signingAlgorithm: algorithm,
    keys: caKeys,
    extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
  })
  const keys = await globalThis.crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const cert = await x509.X509CertificateGenerator.create({
    serialNumber: '02',
    subject: 'CN=fcm.googleapis.com',
    issuer: ca.subject,
    ...span,
    signingAlgorithm: algorithm,
    publicKey: keys.publicKey,
    signingKey: caKeys.privateKey,
    extensions: [
      new x509.SubjectAlternativeNameExtension([
        { type: 'dns', value: 'fcm.googleapis.com' },
        { type: 'dns', value: 'localhost' },
      ]),
    ],
  })
  const pkcs8 = Buffer.from(await globalThis.crypto.subtle.exportKey('pkcs8', keys.privateKey)).toString(
    'base64',
  )
  const key = `-----BEGIN PRIVATE KEY-----\n${pkcs8.replace(/(.{64})/g, '$1\n').trim()}\n-----END PRIVATE KEY-----\n`
  return { key, cert: cert.toString('pem'), ca: ca.toString('pem') }
}
