// A local SMTP server that takes every mail and delivers none: each is parsed and kept before 250 is answered.
// Faults: `reject` = 550, `later` = 451, `cut` = the mail is kept, then the connection drops without an answer.
import type { AddressInfo, Socket } from 'node:net'
import { simpleParser } from 'mailparser'
import { SMTPServer, type SMTPServerDataStream, type SMTPServerSession } from 'smtp-server'
import { createFaults, type Faults } from './faults.ts'
import { openSinkLog, type SinkEntry, type SinkLog } from './sink-log.ts'

export type SmtpSink = { url: string; port: number; log: SinkLog; faults: Faults; stop(): Promise<void> }

const MAX_MAIL_BYTES = 5_000_000

/** Port 0 = any free port; `file` keeps one JSON line a mail. */
export async function startSmtpSink(options: { file: string; port: number }): Promise<SmtpSink> {
  const log = await openSinkLog(options.file)
  const faults = createFaults()
  // smtp-server offers no way to drop a connection without a reply.
  const sockets = new Map<number | undefined, Socket>()
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS', 'AUTH'],
    logger: false,
    size: MAX_MAIL_BYTES,
    closeTimeout: 1000,
    onData(stream, session, callback) {
      take(stream, session).then(
        (refusal) => {
          if (refusal === 'cut') sockets.get(session.remotePort)?.destroy()
          else callback(refusal)
        },
        () => callback(answer(554, 'The mail could not be read')),
      )
    },
  })
  const take = async (stream: SMTPServerDataStream, session: SMTPServerSession) => {
    const entry = await readMail(stream, session)
    if (stream.sizeExceeded) return answer(552, 'The mail is too large')
    const fault = await faults.next()
    if (fault === 'reject') return answer(550, 'No such mailbox')
    if (fault === 'later') return answer(451, 'Try again later')
    await log.append(entry)
    return fault
  }
  server.on('error', () => {})
  server.server.on('connection', (socket: Socket) => {
    const { remotePort } = socket
    sockets.set(remotePort, socket)
    socket.once('close', () => sockets.delete(remotePort))
  })
  await new Promise<void>((resolve, reject) => {
    server.server.once('error', reject)
    server.listen(options.port, '127.0.0.1', () => resolve())
  })
  const port = portOf(server.server.address())
  return {
    url: `smtp://127.0.0.1:${port}`,
    port,
    log,
    faults,
    async stop() {
      faults.resume()
      await new Promise<void>((resolve) => server.close(() => resolve()))
      await log.close()
    },
  }
}

function portOf(address: AddressInfo | string | null): number {
  return typeof address === 'object' && address !== null ? address.port : 0
}

function answer(responseCode: number, text: string): Error {
  return Object.assign(new Error(text), { responseCode })
}

async function readMail(stream: SMTPServerDataStream, session: SMTPServerSession): Promise<SinkEntry> {
  const mail = await simpleParser(stream)
  return {
    at: new Date().toISOString(),
    id: mail.messageId ?? '',
    to: session.envelope.rcptTo.map((recipient) => recipient.address),
    from: mail.from?.text ?? '',
    subject: mail.subject ?? '',
    text: mail.text ?? '',
    html: mail.html === false ? '' : mail.html,
    headers: Object.fromEntries(
      mail.headerLines.map((line) => [line.key, line.line.slice(line.key.length + 1).trim()]),
    ),
  }
}
