// Does things to processes: kills one in the midst of its work, tells it to stop and waits, stops it and lets it go on.
// Used by the rows; ends only processes of its own deployment.
import { type PoolProcess, startPoolProcess } from '../../cli/local/children.ts'
import type { Deployment } from '../support/deployment.ts'
import { waitFor } from '../support/wait-for.ts'

export type Nemesis = ReturnType<typeof createNemesis>

export function createNemesis(deployment: Deployment) {
  const { stack, links } = deployment
  const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

  const isBack = async (process: PoolProcess, restarts: number) => {
    await waitFor(
      async () =>
        process.restarts() > restarts &&
        (await fetch(`${process.addresses().probes}/healthz`)).status === 200,
      { timeoutMs: 30_000, everyMs: 100, what: `${process.pools[0]} to be back` },
    )
  }

  /** Stops the process at a moment when `look` says that it holds work; what it holds stays held while it stands still. */
  async function stopAtWork(pool: string, look: () => Promise<number>): Promise<number> {
    const process = stack.processOf(pool)
    for (let tries = 0; tries < 400; tries++) {
      process.kill('SIGSTOP')
      const held = await look()
      if (held > 0) return held
      process.kill('SIGCONT')
      await pause(5 + Math.random() * 20)
    }
    return 0
  }

  /** Kills the process while it holds work; returns how much, and waits until it is back. */
  async function killAtWork(pool: string, look: () => Promise<number>): Promise<number> {
    const process = stack.processOf(pool)
    const restarts = process.restarts()
    const held = await stopAtWork(pool, look)
    process.kill('SIGKILL')
    await isBack(process, restarts)
    return held
  }

  /** SIGTERM; resolves with how it ended when another is in its place. */
  async function stopGently(pool: string): Promise<{ code: number | null; ms: number }> {
    const process = stack.processOf(pool)
    const restarts = process.restarts()
    const startedAt = performance.now()
    const exit = process.nextExit()
    process.kill('SIGTERM')
    const code = await exit
    const ms = Math.round(performance.now() - startedAt)
    await isBack(process, restarts)
    return { code, ms }
  }

  /** One more process of a pool, behind the proxies of the first. */
  function startHelper(pool: string): Promise<PoolProcess> {
    return startPoolProcess({
      pools: [pool],
      env: { ...stack.env, ...links.addressesOf(pool) },
      logDir: `${stack.config.dataDir}/logs`,
      stopDeadlineMs: stack.config.stopDeadlineMs,
    })
  }

  return { pause, stopAtWork, killAtWork, stopGently, startHelper }
}
