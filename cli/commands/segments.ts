// millrace segments: rules, who is in and why, over the HTTP API: there are the checks of rules, the audit and the handing
// of people to the segment pool, and whoever has a secret key needs neither Postgres nor Redis.
import type { CliIo } from '../io.ts'
import { changes } from '../segments/changes.ts'
import { difference } from '../segments/difference.ts'
import { discard, draft, publish, rollback, versions } from '../segments/drafts.ts'
import { archive, create, edit } from '../segments/edit.ts'
import { explain } from '../segments/explain.ts'
import { list, schema, show } from '../segments/look.ts'
import { members } from '../segments/members.ts'
import { passes } from '../segments/passes.ts'
import { user } from '../segments/people.ts'
import { preview } from '../segments/preview.ts'
import { run as runNow, runs, schedule } from '../segments/runs.ts'
import { runVerb, type Verb } from '../verbs.ts'

export const SEGMENT_VERBS: Record<string, Verb> = {
  list,
  show,
  create,
  edit,
  archive,
  draft,
  publish,
  discard,
  rollback,
  versions,
  run: runNow,
  runs,
  passes,
  schedule,
  preview,
  explain,
  members,
  difference,
  changes,
  user,
  schema,
}

export function run(args: string[], io: CliIo): Promise<number> {
  return runVerb('segments', SEGMENT_VERBS, args, io)
}
