// Faults of a disk under a real server: a slow or failing fsync by strace's injection, and a small ext4 file system in a
// file, which can be frozen and filled. Root and the tools are needed; where they are missing the rows skip loudly.
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const has = (program: string) => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0
const isRoot = process.getuid?.() === 0

/** Why rows that inject into system calls cannot run here; '' when they can. */
export function whyNoStrace(): string {
  if (!has('strace')) return 'strace is not installed'
  const probe = spawnSync('strace', ['-o', '/dev/null', '-e', 'inject=fdatasync:delay_exit=1', 'true'])
  return probe.status === 0 ? '' : 'strace may not trace here'
}

/** Why rows that need a file system of their own cannot run here; '' when they can. */
export function whyNoMount(): string {
  if (!isRoot) return 'mounting needs root'
  const missing = ['mkfs.ext4', 'losetup', 'fsfreeze'].filter((program) => !has(program))
  if (missing.length > 0) return `not installed: ${missing.join(', ')}`
  return spawnSync('losetup', ['--find']).status === 0 ? '' : 'there are no loop devices'
}

/** Injects into every fdatasync and fsync of a process (`delay_exit=<µs>`, `error=EIO`) until stopped or the process ends. */
export async function injectIntoFsync(pid: number, what: string): Promise<{ stop(): Promise<void> }> {
  const args = [
    '-f',
    '-p',
    String(pid),
    '-e',
    'trace=fdatasync,fsync',
    '-e',
    `inject=fdatasync,fsync:${what}`,
  ]
  const tracer = spawn('strace', ['-o', '/dev/null', ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
  const ended = new Promise<void>((resolve) => tracer.once('exit', () => resolve()))
  await new Promise<void>((resolve, reject) => {
    let said = ''
    tracer.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString()
      if (said.includes('attached')) resolve()
    })
    tracer.once('exit', () => reject(new Error(`strace ended: ${said}`)))
    tracer.once('error', reject)
  })
  return {
    async stop() {
      tracer.kill('SIGINT')
      await ended
    },
  }
}

export type SmallDisk = {
  freeze(): void
  thaw(): void
  /** Writes a file as large as what is left. */
  fill(): void
  empty(): void
  unmount(): void
}

/** Makes a file system of `megabytes` in a file and mounts it on `folder`. */
export function mountSmallDisk(folder: string, megabytes: number): SmallDisk {
  const image = `${folder}.img`
  mkdirSync(folder, { recursive: true })
  const run = (program: string, ...args: string[]) => execFileSync(program, args, { stdio: 'pipe' })
  run('truncate', '-s', `${megabytes}M`, image)
  run('mkfs.ext4', '-q', image)
  run('mount', '-o', 'loop', image, folder)
  const ballast = join(folder, 'ballast')
  return {
    freeze: () => run('fsfreeze', '-f', folder),
    thaw: () => run('fsfreeze', '-u', folder),
    fill() {
      spawnSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=64k'], { stdio: 'ignore' })
      spawnSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=1k', 'oflag=append', 'conv=notrunc'], {
        stdio: 'ignore',
      })
    },
    empty() {
      writeFileSync(ballast, '')
    },
    unmount() {
      spawnSync('fsfreeze', ['-u', folder], { stdio: 'ignore' })
      spawnSync('umount', ['-l', folder])
      rmSync(image, { force: true })
    },
  }
}
