// The samples of V8's profiler by the part of the code they fell into. Pure.
import { fileURLToPath } from 'node:url'

/** As `--cpu-prof` writes it: times in microseconds of the monotonic clock. */
export type CpuProfile = {
  nodes: { id: number; callFrame: { functionName: string; url: string } }[]
  startTime: number
  samples: number[]
  timeDeltas: number[]
}
/** Microseconds of the monotonic clock. */
export type Window = { from: number; to: number }
/** Share (0 to 1) of the busy time by part, the largest first. */
export type Shares = Record<string, number>

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** Parts below one in a hundred are `the rest`. */
export function sharesOf(profile: CpuProfile, window: Window): Shares {
  const partOf = new Map(profile.nodes.map((node) => [node.id, partOfFrame(node.callFrame)]))
  const micros = new Map<string, number>()
  let at = profile.startTime
  let busy = 0
  profile.samples.forEach((id, i) => {
    const delta = profile.timeDeltas[i] ?? 0
    at += delta
    const part = partOf.get(id) ?? IDLE
    if (part === IDLE || at < window.from || at > window.to) return
    micros.set(part, (micros.get(part) ?? 0) + delta)
    busy += delta
  })
  const shares: Shares = {}
  let rest = 0
  for (const [part, spent] of [...micros].sort((a, b) => b[1] - a[1])) {
    const share = spent / busy
    if (share < 0.01) rest += share
    else shares[part] = Math.round(share * 1000) / 1000
  }
  return { ...shares, 'the rest': Math.round(rest * 1000) / 1000 }
}

const IDLE = '(idle)'

/** Our own code by folder, packages by name, Node by module. */
function partOfFrame({ functionName, url }: { functionName: string; url: string }): string {
  if (url === '') {
    if (functionName === '(idle)') return IDLE
    if (functionName === '(garbage collector)') return 'garbage collection'
    if (functionName === '(program)' || functionName === '(root)') return 'outside of JavaScript'
    return /^write(v|Buffer|\w+String)$/.test(functionName) ? 'writing to sockets' : 'built-in functions'
  }
  if (url.startsWith('node:')) return `Node: ${url.slice('node:'.length).split('/')[0]}`
  const path = url.startsWith('file:') ? fileURLToPath(url) : url
  const inPackage = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1]
  if (inPackage !== undefined) return inPackage
  const own = path.startsWith(ROOT) ? path.slice(ROOT.length) : path
  return own
    .split('/')
    .slice(0, own.startsWith('workers/') ? 2 : 1)
    .join('/')
}
