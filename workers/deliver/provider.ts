// What a provider is to the deliver pool, and the closed answers it gives. A provider never throws for what a server
// said; only `unknown` means that the message may or may not have been taken.

export type Outgoing = {
  /** Stable over retries: the delivery's own key. */
  key: string
  to: string
  subject: string
  text: string
  html: string | null
  unsubscribeUrl: string
  data: Record<string, unknown>
}

export type SendOutcome =
  | { kind: 'sent'; providerMessageId: string }
  /** For good: the address or the message is refused. `suppress` = never write to this address again. */
  | { kind: 'refused'; reason: string; suppress?: boolean }
  /** Certainly not taken: try again. */
  | { kind: 'later'; reason: string }
  | { kind: 'unknown'; reason: string }

export type Provider = {
  /** Real = messages leave this machine: only then the allow-list counts. */
  real: boolean
  send(message: Outgoing, signal: AbortSignal): Promise<SendOutcome>
  close(): Promise<void>
}
