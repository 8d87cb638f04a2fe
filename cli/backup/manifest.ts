// What a backup says of itself: made last, so that a folder without it is no backup. Read by restore.
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import Type, { type Static } from 'typebox'
import { Value } from 'typebox/value'
import { fail } from '../../runtime/errors.ts'

const Manifest = Type.Object({
  v: Type.Literal(1),
  millrace: Type.String(),
  takenAt: Type.String(),
  schemaVersion: Type.Integer(),
  tables: Type.Array(
    Type.Object({
      name: Type.String({ pattern: '^[a-z_]+$' }),
      columns: Type.Array(Type.String()),
      rows: Type.Integer({ minimum: 0 }),
      fingerprint: Type.String(),
      bytes: Type.Integer({ minimum: 0 }),
      sha256: Type.String(),
    }),
  ),
  sequences: Type.Array(
    Type.Object({
      name: Type.String(),
      type: Type.String(),
      lastValue: Type.Union([Type.Integer(), Type.Null()]),
    }),
  ),
  partitions: Type.Array(Type.Object({ range: Type.Integer(), week: Type.String() })),
})
export type Manifest = Static<typeof Manifest>

const NAME = 'manifest.json'

/** Where a table lies in the folder. */
export function fileOf(dir: string, table: string): string {
  return join(dir, `${table}.copy.gz`)
}

export async function writeManifest(dir: string, manifest: Manifest): Promise<void> {
  await writeFile(join(dir, `${NAME}.part`), `${JSON.stringify(manifest, null, 2)}\n`, { mode: 0o600 })
  await rename(join(dir, `${NAME}.part`), join(dir, NAME))
}

/** Throws `invalid_request` when the folder holds no whole backup. */
export async function readManifest(dir: string): Promise<Manifest> {
  let manifest: unknown
  try {
    manifest = JSON.parse(await readFile(join(dir, NAME), 'utf8'))
  } catch {
    throw fail('invalid_request', `${dir} holds no whole backup: there is no ${NAME} that can be read`)
  }
  if (!Value.Check(Manifest, manifest))
    throw fail('invalid_request', `${join(dir, NAME)} is not of a form that this version knows`)
  return manifest
}
