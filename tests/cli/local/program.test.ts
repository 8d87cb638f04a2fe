// bin/millrace as a person runs it: on the Node of the host or the one that npm brought, with its exit codes, and with
// nothing left behind however it ends.
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type CliWorld, cliWorld } from '../../support/cli.ts'
import { endOf, isRunning } from '../../support/launched.ts'
import { waitFor } from '../../support/wait-for.ts'

const BIN = fileURLToPath(new URL('../../../bin/millrace', import.meta.url))

/** A Node on the PATH that is older than ours, as on a host with Node 20; npm's own folders do not count. */
const oldNode = (process.env.PATH ?? '')
  .split(delimiter)
  .filter((folder) => !folder.includes('node_modules'))
  .map((folder) => join(folder, 'node'))
  .find((file) => existsSync(file) && majorOf(file) < 24)
if (oldNode === undefined)
  process.stderr.write('SKIPPED: bin/millrace on an old Node, as there is none on the PATH\n')

function majorOf(node: string): number {
  return Number(execFileSync(node, ['--version'], { encoding: 'utf8' }).slice(1).split('.')[0])
}

let cli: CliWorld
beforeAll(async () => {
  cli = await cliWorld()
})
afterAll(() => cli.close())

const environment = () => ({ PATH: process.env.PATH, ...cli.env })

describe.each([
  { name: 'Node 24', node: process.execPath },
  ...(oldNode === undefined ? [] : [{ name: 'an older Node', node: oldNode }]),
])('on $name', ({ node }) => {
  const run = (...args: string[]) => spawnSync(node, [BIN, ...args], { encoding: 'utf8', env: environment() })

  /** A pool that runs until it is told to stop; `pid` is of the process that works, which may be another. */
  async function startPool(): Promise<{ child: ChildProcess; pid: number }> {
    const child = spawn(node, [BIN, 'start', 'schedule'], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: environment(),
    })
    for await (const line of createInterface({ input: child.stdout })) {
      const entry: { msg?: string; pid?: number } = JSON.parse(line)
      if (entry.msg !== 'ready') continue
      child.stdout.resume()
      return { child, pid: entry.pid ?? workerOf(child.pid ?? 0) }
    }
    throw new Error('the pool ended before it was ready')
  }

  function workerOf(pid: number): number {
    const children = spawnSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' })
    return Number(children.stdout.trim().split('\n')[0]) || pid
  }

  test('Node 24 does the work, and exit codes are passed on', () => {
    expect(run('--version')).toMatchObject({ status: 0, stdout: expect.stringMatching(/, node v2[4-9]\./) })
    expect(run('nonsense')).toMatchObject({ status: 2 })
    expect(run('start', '--nonsense')).toMatchObject({ status: 1 })
  })

  test('SIGTERM and SIGINT stop it cleanly', async () => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      const { child, pid } = await startPool()
      child.kill(signal)
      expect(await endOf(child)).toEqual({ code: 0, signal: null })
      expect(isRunning(pid)).toBe(false)
    }
  })

  test('one keystroke that arrives twice is one', async () => {
    const { child } = await startPool()
    child.kill('SIGINT')
    child.kill('SIGINT')
    expect(await endOf(child)).toEqual({ code: 0, signal: null })
  })

  test('killed outright it leaves no process behind', async () => {
    const { child, pid } = await startPool()
    expect(isRunning(pid)).toBe(true)
    child.kill('SIGKILL')
    await endOf(child)
    await waitFor(() => !isRunning(pid), { what: 'the end of the working process' })
  })
})
