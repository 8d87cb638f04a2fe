// A local SMTP server that takes every mail and delivers none: each is parsed and kept before 250 is answered.
// Faults for tests: `reject` (550), `later` (451), `cut` (keeps the mail, then drops the connection without an answer).
import type { AddressInfo } from 'node:net'
import { simpleParser } from 'mailparser'
import { SMTPServer } from 'smtp-server'
import { type Fault, nextFault, openSinkLog, type SinkLog } from './sink-log.ts'

export type SmtpSink = { url: string; port: number; log: SinkLog; faults: Fault[]; stop(): Promise<void> }

export async function startSmtpSink(options: { file: string; port: number }): Promise<SmtpSink> {
  const log = openSinkLog(options.file)
  const faults: Fault[] = []
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS', 'AUTH'],
    logger: false,
    size: 5_000_000,
    onData(stream, session, callback) {
      simpleParser(stream)
        .then((mail) => {
          const fault = nextFault(faults)
          if (fault === 'reject')
            return callback(Object.assign(new Error('No such mailbox'), { responseCode: 550 }))
          if (fault === 'later')
            return callback(Object.assign(new Error('Try again later'), { responseCode: 451 }))
          const headers = Object.fromEntries(
            mail.headerLines.map((line) => [line.key, line.line.slice(line.key.length + 1).trim()]),
          )
          log.append({
            at: new Date().toISOString(),
            id: mail.messageId ?? '',
            to: session.envelope.rcptTo.map((recipient) => recipient.address),
            from: mail.from?.text ?? '',
            subject: mail.subject ?? '',
            text: mail.text ?? '',
            html: mail.html === false ? '' : mail.html,
            headers,
          })
          if (fault === 'cut') {
            for (const connection of server.connections) Reflect.get(connection, '_socket')?.destroy()
            return
          }
          callback()
        })
        .catch(() => callback(Object.assign(new Error('The mail could not be read'), { responseCode: 554 })))
    },
  })
  server.on('error', () => {})
  await new Promise<void>((resolve, reject) => {
    server.server.once('error', reject)
    server.listen(options.port, '127.0.0.1', () => resolve())
  })
  const { port } = server.server.address() as AddressInfo
  return {
    url: `smtp://127.0.0.1:${port}`,
    port,
    log,
    faults,
    async stop() {
      await new Promise<void>((resolve) => server.close(() => resolve()))
      log.close()
    },
  }
}
