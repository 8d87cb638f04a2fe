// segments explain: why somebody is in a segment or not.
import type { Explanation } from '../../api/segment-explain.ts'
import type { Segment } from '../../api/segment-shapes.ts'
import type { RuleNode } from '../../schema/rule.ts'
import { type Api, openApi, path } from '../api-client.ts'
import { zonedInstant } from '../args.ts'
import { verb } from '../verbs.ts'
import { explanationTree } from './explain-tree.ts'
import { matchOf } from './rule-words.ts'
import { aboutSegment, personPath } from './subjects.ts'

export const explain = verb(
  'SLUG USER',
  { at: 'string', profile: 'boolean', json: 'boolean' },
  async ({ names: [slug = '', person = ''], options, io }) => {
    const at = zonedInstant(options.at, 'at')
    const api = openApi(io)
    const whole = `${personPath(person, options.profile)}${path`/segments/${slug}/explanation`}`
    const explanation = await aboutSegment(api, slug, () => api.get<Explanation>(whole, { at }))
    if (options.json) {
      io.write(`${JSON.stringify(explanation)}\n`)
      return 0
    }
    const rule = await ruleOf(api, explanation)
    const tree = explanationTree(explanation, { rule, colours: io.colours })
    io.write(`${verdictOf(explanation, person, at !== undefined)}\n\n${tree}`)
    return 0
  },
)

/** Undefined when another version went live since. */
async function ruleOf(api: Api, { segment, version }: Explanation): Promise<RuleNode | undefined> {
  const now = await api.get<Segment>(path`/api/v1/segments/${segment}`)
  return now.version === version ? matchOf(now.rule) : undefined
}

function verdictOf(explanation: Explanation, person: string, isOther: boolean): string {
  const { segment, version, asOf, member, holds, changesAt } = explanation
  const when = isOther ? `At ${asOf}, by the rule and the data of today, ` : ''
  const where = `${person} is ${holds ? '' : 'not '}in ${segment} (version ${version})`
  const then =
    changesAt === null
      ? `and ${holds ? 'stays' : 'stays out'} until something happens`
      : `and ${holds ? 'leaves' : 'enters'} at ${changesAt} if nothing happens before`
  const isBehind = !isOther && member !== holds
  return `${when}${where}, ${then}.${isBehind ? '\nIt is not stored so yet: a pass is under way.' : ''}`
}
