// The tests are themselves tried: each deliberate defect of defects.ts is put into a copy of the tree, and the assertion
// that is named for it must go red there; not a crash, not a time-out. The rest of the deep run shows them green without.
import { execFile } from 'node:child_process'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { projectFiles, ROOT } from '../support/source-tree.ts'
import { DEFECTS, type Defect } from './defects.ts'
import { SEGMENT_DEFECTS } from './segment-defects.ts'

let copy: string
beforeAll(() => {
  copy = mkdtempSync(join(tmpdir(), 'millrace-sabotage-'))
  for (const path of projectFiles()) {
    mkdirSync(dirname(join(copy, path)), { recursive: true })
    cpSync(join(ROOT, path), join(copy, path))
  }
  symlinkSync(realpathSync(join(ROOT, 'node_modules')), join(copy, 'node_modules'))
})
afterAll(() => {
  rmSync(copy, { recursive: true, force: true })
})

type Report = {
  testResults: { assertionResults: { title: string; status: string; failureMessages: string[] }[] }[]
}

/** Runs the tests of a defect in the copy; returns what became of each that ran. */
async function runInCopy({ test: file, title }: Defect) {
  const report = join(copy, 'report.json')
  rmSync(report, { force: true })
  const config = file.endsWith('.deep.ts') ? ['--config', 'vitest.deep.config.ts'] : []
  const args = ['node_modules/vitest/vitest.mjs', 'run', ...config, file, '-t', literally(title)]
  await new Promise<void>((resolve) => {
    const env = { ...process.env, NODE_OPTIONS: '' }
    const options = { cwd: copy, env, maxBuffer: 64 * 1024 * 1024 }
    execFile(process.execPath, [...args, '--reporter=json', `--outputFile=${report}`], options, () =>
      resolve(),
    )
  })
  const { testResults }: Report = JSON.parse(readFileSync(report, 'utf8'))
  return testResults.flatMap((one) => one.assertionResults).filter((one) => one.status !== 'skipped')
}

const literally = (text: string) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')

test.each([...DEFECTS, ...SEGMENT_DEFECTS])(
  'sabotage: a Millrace that $name is caught',
  async (defect) => {
    const file = join(copy, defect.file)
    const sound = readFileSync(file, 'utf8')
    expect(sound.split(defect.from).length - 1, 'places where the defect fits').toBe(1)
    writeFileSync(
      file,
      sound.replace(defect.from, () => defect.to),
    )
    try {
      const ran = await runInCopy(defect)
      expect(ran.length, 'tests that ran').toBeGreaterThan(0)
      const failures = ran.filter((one) => one.status === 'failed').flatMap((one) => one.failureMessages)
      console.log(`${defect.name}\n  ${failures.map((one) => one.split('\n')[0]).join('\n  ')}`)
      const named = failures.filter(
        (message) => message.startsWith('AssertionError') && defect.says.test(message),
      )
      expect(named.length, `assertions that went red, of ${failures.length} failures`).toBeGreaterThan(0)
    } finally {
      writeFileSync(file, sound)
    }
  },
  400_000,
)
