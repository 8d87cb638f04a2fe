// What a local deployment makes once and keeps in its data folder, readable for its owner only.
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export type LocalSecrets = { secret: string; webhookSecret: string }

export function readLocalSecrets(dataDir: string): LocalSecrets {
  const file = join(dataDir, 'secrets.json')
  if (!existsSync(file)) {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 })
    const made: LocalSecrets = {
      secret: randomBytes(32).toString('base64url'),
      webhookSecret: `whsec_${randomBytes(32).toString('base64')}`,
    }
    // Never half a file, which no later start could read.
    writeFileSync(`${file}.new`, JSON.stringify(made, null, 2), { mode: 0o600 })
    renameSync(`${file}.new`, file)
  }
  return JSON.parse(readFileSync(file, 'utf8'))
}
