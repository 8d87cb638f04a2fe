// The fault matrix is what it says: every row is there, and each that is shown is shown by a test of its file.
import { expect, test } from 'vitest'
import { isThere, readProjectFile } from '../support/source-tree.ts'
import { MATRIX } from './rows.ts'

/** Rows that have to be shown, whatever else is left out. */
const REQUIRED = [1, 4, 6, 11, 12, 13, 18, 20, 21, 22, 23, 24]

test('the matrix has its 39 rows, at least 30 of them shown, among them those that must be', () => {
  expect(MATRIX.map((row) => row.id)).toEqual(Array.from({ length: 39 }, (_, n) => n + 1))
  const shown = MATRIX.filter((row) => 'shownBy' in row).map((row) => row.id)
  expect(shown.length).toBeGreaterThanOrEqual(30)
  expect(REQUIRED.filter((id) => !shown.includes(id))).toEqual([])
})

test('a row that is shown has a test by its number in the file that is named, a row that is not has a reason', () => {
  const wrong = MATRIX.filter((row) => {
    if ('notShown' in row) return row.notShown.length < 20
    return !isThere(row.shownBy) || !readProjectFile(row.shownBy).includes(`'row ${row.id}: `)
  })
  expect(wrong).toEqual([])
})
