// Mail by SMTP (nodemailer, pooled). Carries List-Unsubscribe with its one-click POST (RFC 2369, RFC 8058). A failure
// before the message was handed over is a retry; after it, without an answer, the outcome is unknown.
import type { Readable } from 'node:stream'
import { createTransport } from 'nodemailer'
import { isEmailAddress, isHeaderSafe } from '../../domain/addresses.ts'
import { errorCodeOf } from '../../runtime/errors.ts'
import type { Outgoing, Provider, SendOutcome } from './provider.ts'

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
  const handedOver = watchHandovers(transport)
  return {
    real: options.real,
    async send(message) {
      if (!isEmailAddress(message.to))
        return { kind: 'refused', reason: 'the profile’s email is not a mail address' }
      if (!isHeaderSafe(message.subject))
        return { kind: 'refused', reason: 'the rendered subject contains a line break or control character' }
      const mail = mailOf(message, options.from)
      try {
        const info = await transport.sendMail(mail)
        return { kind: 'sent', providerMessageId: String(info.messageId) }
      } catch (error) {
        return outcomeOf(error, handedOver.take(mail.messageId))
      } finally {
        handedOver.take(mail.messageId)
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

type Handovers = {
  /** Whether the server was given anything of the message; forgets it. */
  take(messageId: string): boolean
}

/**
 * Whether a byte of a message has left cannot be told from the error: a connection that breaks while the server's
 * answer is awaited looks like one that never came up. The stream of the message knows whether it was read, and
 * nodemailer reads it only once the server has asked for it.
 */
function watchHandovers(transport: ReturnType<typeof createTransport>): Handovers {
  const streams = new Map<string, Readable>()
  transport.use('stream', (mail, done) => {
    const { message } = mail
    const messageId = String(mail.data.messageId)
    if (message) {
      const create = message.createReadStream.bind(message)
      message.createReadStream = (options) => {
        const stream = create(options)
        streams.set(messageId, stream)
        return stream
      }
    }
    done()
  })
  return {
    take(messageId) {
      const stream = streams.get(messageId)
      streams.delete(messageId)
      return stream?.readableDidRead ?? false
    },
  }
}

function outcomeOf(error: unknown, handedOver: boolean): SendOutcome {
  const details: object = typeof error === 'object' && error !== null ? error : {}
  const responseCode: unknown = Reflect.get(details, 'responseCode')
  const code = errorCodeOf(error)
  // Wrong credentials are the operator's to mend: they say nothing about this message.
  if (code === 'EAUTH') return { kind: 'later', reason: 'the SMTP server refused our credentials' }
  if (typeof responseCode === 'number' && responseCode >= 400)
    return { kind: responseCode >= 500 ? 'refused' : 'later', reason: `SMTP ${responseCode}` }
  if (!handedOver) return { kind: 'later', reason: `the SMTP server did not take the message (${code})` }
  return { kind: 'unknown', reason: `no answer from the SMTP server after the message was sent (${code})` }
}
