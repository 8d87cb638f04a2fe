// Migrations: from nothing to the committed dump, once, however many processes start at the same time.
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { createDatabase, dropDatabase } from '../../cli/local/postgres.ts'
import { dumpSchema } from '../../schema/dump.ts'
import { migrate, readMigrations, schemaVersion } from '../../schema/migrate.ts'
import { databaseUrlFor } from '../support/servers.ts'

const name = `migrate_${process.pid}`
let url = ''

beforeAll(async () => {
  await createDatabase(inject('postgresUrl'), name)
  url = databaseUrlFor(inject('postgresUrl'), name)
})
afterAll(() => dropDatabase(inject('postgresUrl'), name))

test('twenty processes that migrate at once apply each migration once', async () => {
  const results = await Promise.all(Array.from({ length: 20 }, () => migrate(url, 'brand_a')))
  const known = (await readMigrations()).length
  expect(results.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: known }, (_, i) => i + 1))
  expect(await schemaVersion(url, 'brand_a')).toEqual({ applied: known, known })
})

test('two namespaces live side by side in one database', async () => {
  await migrate(url, 'brand_b')
  expect((await dumpSchema(url, 'brand_b')).length).toBe((await dumpSchema(url, 'brand_a')).length)
})

test('the committed dump is what the migrations result in', async () => {
  await migrate(url, 'millrace')
  // Update with `npm test -- -u tests/schema` after adding a migration, and read the difference.
  await expect(await dumpSchema(url, 'millrace')).toMatchFileSnapshot('../../schema/schema.sql')
})
