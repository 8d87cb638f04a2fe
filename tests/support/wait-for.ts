// Waiting on facts: polls a check until it holds, and fails with what it saw last.

/** Resolves with the first truthy value of `check`; throws after `timeoutMs` naming `what`. Errors of the check count as "not yet". */
export async function waitFor<T>(
  check: () => Promise<T> | T,
  options: { timeoutMs?: number; everyMs?: number; what?: string } = {},
): Promise<NonNullable<T>> {
  const deadline = Date.now() + (options.timeoutMs ?? 15_000)
  let last: unknown
  for (;;) {
    try {
      const value = await check()
      last = value
      if (value) return value as NonNullable<T>
    } catch (error) {
      last = error
    }
    if (Date.now() > deadline) {
      throw new Error(`waited in vain for ${options.what ?? 'a fact'}; last seen: ${String(last)}`)
    }
    await new Promise((resolve) => setTimeout(resolve, options.everyMs ?? 25))
  }
}
