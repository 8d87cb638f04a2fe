// Mail by SMTP (nodemailer, pooled). Carries List-Unsubscribe with its one-click POST (RFC 2369, RFC 8058). A failure
// before the message was handed over is a retry; after it, without an answer, the outcome is unknown.
import { createTransport } from 'nodemailer'
import { isEmailAddress, isHeaderSafe } from '../../domain/addresses.ts'
import { errorCodeOf } from '../../runtime/errors.ts'
import type { Outgoing, Provider, SendOutcome } from './provider.ts'

/** SMTP commands during which nothing of the message has been handed over. */
const BEFORE_MESSAGE = /^(CONN|EHLO|HELO|STARTTLS|AUTH|MAIL FROM|RCPT TO|LHLO)/

export function createEmailProvider(options: { smtpUrl: string; from: string; real: boolean }): Provider {
  const transport = createTransport({
    url: options.smtpUrl,
    pool: true,
    maxConnections: 4,
    connectionTimeout: 8000,
    socketTimeout: 12_000,
    disableFileAccess: true,
    disableUrlAccess: true,
  })
  return {
    resendable: false,
    real: options.real,
    async send(message) {
      if (!isEmailAddress(message.to))
        return { kind: 'refused', reason: 'the profile’s email is not a mail address' }
      if (!isHeaderSafe(message.subject))
        return { kind: 'refused', reason: 'the rendered subject contains a line break or control character' }
      try {
        const info = await transport.sendMail(mailOf(message, options.from))
        return { kind: 'sent', providerMessageId: String(info.messageId) }
      } catch (error) {
        return outcomeOf(error)
      }
    },
    async close() {
      transport.close()
    },
  }
}

function mailOf(message: Outgoing, from: string) {
  return {
    from,
    to: message.to,
    subject: message.subject,
    text: message.text,
    ...(message.html === null ? {} : { html: message.html }),
    messageId: `<${message.key}@millrace>`,
    headers: {
      'List-Unsubscribe': `<${message.unsubscribeUrl}>`,
      'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
    },
  }
}

function outcomeOf(error: unknown): SendOutcome {
  const details: object = typeof error === 'object' && error !== null ? error : {}
  const responseCode: unknown = Reflect.get(details, 'responseCode')
  const command: unknown = Reflect.get(details, 'command')
  if (typeof responseCode === 'number' && responseCode > 0) {
    if (responseCode >= 500) return { kind: 'refused', reason: `SMTP ${responseCode}` }
    return { kind: 'later', reason: `SMTP ${responseCode}` }
  }
  const code = errorCodeOf(error)
  if (typeof command === 'string' && BEFORE_MESSAGE.test(command))
    return { kind: 'later', reason: `SMTP ${command.split(' ')[0]} ${code}` }
  if (code === 'ECONNREFUSED' || code === 'EDNS' || code === 'ENOTFOUND')
    return { kind: 'later', reason: code }
  return { kind: 'unknown', reason: `no answer from the SMTP server after the message was sent (${code})` }
}
