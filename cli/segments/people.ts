// segments user: what one person is in.
import type { Membership } from '../../api/user-segments.ts'
import { openApi } from '../api-client.ts'
import { table } from '../table.ts'
import { verb } from '../verbs.ts'
import { personPath } from './subjects.ts'

export const user = verb(
  'USER',
  { profile: 'boolean', json: 'boolean' },
  async ({ names: [person = ''], options, io }) => {
    const { data } = await openApi(io).get<{ data: Membership[] }>(
      `${personPath(person, options.profile)}/segments?details=true`,
    )
    if (options.json) for (const row of data) io.write(`${JSON.stringify(row)}\n`)
    else if (data.length === 0) io.write(`${person} is in no segment.\n`)
    else
      io.write(
        table(
          [
            { title: 'SEGMENT' },
            { title: 'VERSION', align: 'right' },
            { title: 'ENTERED AT' },
            { title: 'ENDS AT' },
            { title: 'NAME' },
          ],
          data.map((row) => [
            row.slug,
            String(row.version ?? ''),
            row.enteredAt ?? '',
            row.endsAt ?? 'not by time alone',
            row.name,
          ]),
        ),
      )
    return 0
  },
)
