// The browser of the tests: Debian's Chromium, driven by playwright-core. Tests skip loudly where it is not installed.
import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'

const PROGRAM = '/usr/bin/chromium'

/** For `test.skipIf(!hasChromium)`; says once a file that browser tests are skipped. */
export const hasChromium = existsSync(PROGRAM)
if (!hasChromium) process.stderr.write(`SKIPPED: browser tests, as ${PROGRAM} is not installed\n`)

/** A headless browser with its own empty profile that calls nobody on its own account. */
export function launchChromium(): Promise<Browser> {
  return chromium.launch({
    executablePath: PROGRAM,
    headless: true,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
}
