// Run by hand: what a running deployment costs at rest, from outside. `node tests/support/measure-tree.ts <pid> [seconds]`
// takes the whole process tree of `npm start` (Postgres and Redis included) out of /proc, and beside it what a bare `node`
// with one empty timer a second takes meanwhile: to wake up costs 0.3 ms on one machine and 15 on another. Linux only;
// not part of the suite.
import { execFileSync, spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

type Sample = { cpuTicks: number; rssBytes: number; pssBytes: number; command: string }

const TICKS_A_SECOND = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))
const MB = 1024 * 1024
const [root = 0, seconds = 60] = process.argv.slice(2).map(Number)
if (!Number.isInteger(root) || root < 2 || !(seconds > 0)) {
  process.stderr.write('usage: node tests/support/measure-tree.ts <pid of npm start or millrace> [seconds]\n')
  process.exit(2)
}

/** The process, its children, and theirs. */
function treeOf(pid: number): number[] {
  const children = new Map<number, number[]>()
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    const parent = Number(fieldsOf(Number(name))[1])
    children.set(parent, [...(children.get(parent) ?? []), Number(name)])
  }
  const found = [pid]
  for (const at of found) found.push(...(children.get(at) ?? []))
  return found
}

/** Fields of /proc/<pid>/stat after the name, which may hold spaces: state, ppid, …; empty when the process is gone. */
function fieldsOf(pid: number): string[] {
  const stat = readProc(pid, 'stat')
  return stat === '' ? [] : stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

function readProc(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch {
    return ''
  }
}

function look(pid: number): Sample | undefined {
  const fields = fieldsOf(pid)
  if (fields.length === 0) return undefined
  const rollup = readProc(pid, 'smaps_rollup')
  const sizeOf = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(rollup)?.[1] ?? 0) * 1024
  return {
    cpuTicks: Number(fields[11]) + Number(fields[12]),
    rssBytes: sizeOf('Rss'),
    pssBytes: sizeOf('Pss'),
    command: readProc(pid, 'cmdline').replaceAll('\0', ' ').trim().slice(0, 90),
  }
}

// Not a child of the tree that is measured; started before it settles.
const yardstick = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
await new Promise((resolve) => setTimeout(resolve, 3000))

const yardstickBefore = look(yardstick.pid ?? 0)?.cpuTicks ?? 0
const before = new Map(treeOf(root).map((pid) => [pid, look(pid)]))
const startedAt = process.hrtime.bigint()
await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
const elapsedSeconds = Number(process.hrtime.bigint() - startedAt) / 1e9
let cpu = 0
let rss = 0
let pss = 0
process.stdout.write('    pid  CPU %  RSS MB  PSS MB  command\n')
for (const pid of treeOf(root)) {
  const now = look(pid)
  if (now === undefined) continue
  const ticks = now.cpuTicks - (before.get(pid)?.cpuTicks ?? 0)
  const percent = (ticks / TICKS_A_SECOND / elapsedSeconds) * 100
  cpu += percent
  rss += now.rssBytes
  pss += now.pssBytes
  const sizes = `${(now.rssBytes / MB).toFixed(0).padStart(6)}  ${(now.pssBytes / MB).toFixed(0).padStart(6)}`
  process.stdout.write(
    `${String(pid).padStart(7)}  ${percent.toFixed(2).padStart(5)}  ${sizes}  ${now.command}\n`,
  )
}
process.stdout.write(
  `${'all'.padStart(7)}  ${cpu.toFixed(2).padStart(5)}  ${(rss / MB).toFixed(0).padStart(6)}  ${(pss / MB).toFixed(0).padStart(6)}  of one core, over ${elapsedSeconds.toFixed(0)} s\n`,
)
const yardstickTicks = (look(yardstick.pid ?? 0)?.cpuTicks ?? 0) - yardstickBefore
yardstick.kill()
process.stdout.write(
  `a bare node with one timer a second: ${((yardstickTicks / TICKS_A_SECOND / elapsedSeconds) * 100).toFixed(2)} % meanwhile\n`,
)
