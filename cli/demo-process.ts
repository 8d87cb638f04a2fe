// Entry of the child process that runs the demo (cli/demo/apart.ts): tells its parent over IPC what to print and what it
// found; ends when its parent is gone.
import { readConfig } from '../runtime/config.ts'
import { describeError } from '../runtime/errors.ts'
import type { DemoOrder, DemoReport } from './demo/apart.ts'
import { runDemo } from './demo/run-demo.ts'

process.once('disconnect', () => process.exit(1))

const { target, terminal }: DemoOrder = JSON.parse(process.argv[2] ?? '{}')
const tell = (report: DemoReport, told = () => {}) => void process.send?.(report, told)
const leave = () => process.exit(0)

try {
  const result = await runDemo(readConfig(process.env), target, {
    ...terminal,
    write: (text) => tell({ kind: 'wrote', text }),
  })
  tell({ kind: 'done', result }, leave)
} catch (error) {
  tell({ kind: 'failed', reason: describeError(error) }, leave)
}
