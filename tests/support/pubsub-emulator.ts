// Google's own Pub/Sub emulator for tests, where its jar and Java are on the machine; nothing is downloaded.
import { execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { choosePort, endChild, pollUntil } from '../../cli/local/server.ts'

const run = promisify(execFile)

/** The jar of the Debian package, or undefined (with a loud line) where it or Java is missing. */
export async function findPubsubEmulator(): Promise<string | undefined> {
  try {
    await run('java', ['-version'])
    const { stdout } = await run('dpkg', ['-L', 'google-cloud-cli-pubsub-emulator'])
    const jar = stdout.split('\n').find((line) => line.endsWith('all.jar'))
    if (jar !== undefined && existsSync(jar)) return jar
  } catch {
    // Not a machine with it: said below.
  }
  console.warn('SKIPPED: no Java, or no package google-cloud-cli-pubsub-emulator, on this machine')
  return undefined
}

/** Starts it on a free port; `host` is host:port. */
export async function startPubsubEmulator(jar: string): Promise<{ host: string; stop(): Promise<void> }> {
  const port = await choosePort(0)
  const dir = await mkdtemp(join(tmpdir(), 'millrace-pubsub-'))
  const child = spawn('java', ['-Xmx256m', '-jar', jar, '--host=127.0.0.1', `--port=${port}`], {
    cwd: dir,
    stdio: 'ignore',
  })
  const host = `127.0.0.1:${port}`
  const answers = async () => {
    try {
      return (await fetch(`http://${host}/`)).ok
    } catch {
      return false
    }
  }
  await pollUntil(answers, 30_000, () => new Error('the Pub/Sub emulator did not start'))
  return {
    host,
    async stop() {
      await endChild(child, 'SIGTERM', 'SIGKILL', 2000)
      await rm(dir, { recursive: true, force: true })
    },
  }
}
