// `millrace bench segments` that Ctrl-C ends while it works: its servers and all their data go with it.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { placeOfServer } from '../../../cli/local/server-data.ts'

/** Data folders of segment benchmarks, this one's and others'. */
const dataFolders = () => readdirSync(tmpdir()).filter((name) => name.startsWith('millrace-segments-'))

test('a segment benchmark that Ctrl-C interrupts takes its servers and all its data with it', async () => {
  const before = dataFolders()
  // Its own group: as in a terminal, where Ctrl-C reaches the command, and npm passes it on once more.
  const child = spawn('bin/millrace', ['bench', 'segments', '--users', '10000'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  })
  try {
    await whenSaid(child, 'people and their events')
    const [name = ''] = dataFolders().filter((one) => !before.includes(one))
    const own = join(tmpdir(), name)
    const place = placeOfServer(join(own, 'postgres')) ?? ''
    for (const path of [own, place]) expect(existsSync(path), path).toBe(true)
    const exited = once(child, 'exit')
    const group = -(child.pid ?? 0)
    process.kill(group, 'SIGINT')
    process.kill(group, 'SIGINT')
    expect(await exited).toEqual([130, null])
    expect([own, place].filter((path) => existsSync(path))).toEqual([])
  } finally {
    child.kill('SIGKILL')
  }
}, 240_000)

function whenSaid(child: ChildProcess, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let out = ''
    child.stdout?.setEncoding('utf8').on('data', (chunk) => {
      out += chunk
      if (out.includes(text)) resolve()
    })
    child.once('exit', (code) => reject(new Error(`ended with ${code} before it said ${text}: ${out}`)))
  })
}
