// Patterns of texts: `like` with * and ?, and `matches` with a regular expression. Rules and texts both come from outside, so
// both are matched in time that grows with the text alone, whatever the pattern: never by JavaScript's own expressions,
// which go back and try again. Pure.
import { RE2JS, RE2JSException } from 're2js'
import { RULE_LIMITS, type Scalar, type TraitOp } from '../../schema/rule.ts'

type PatternOp = Extract<TraitOp, 'like' | 'matches'>
type Matcher = (text: string) => boolean

export function isPatternOp(op: TraitOp): op is PatternOp {
  return op === 'like' || op === 'matches'
}

/** Why a pattern is not taken, to follow its path in an error; undefined when it is. */
export function refusedPattern(op: PatternOp, pattern: string): string | undefined {
  if (pattern.length > RULE_LIMITS.patternLength)
    return `is longer than the ${RULE_LIMITS.patternLength} characters of a pattern`
  return op === 'like' ? refusedGlob(pattern) : refusedExpression(pattern)
}

/** By the condition of a plan: compiled when it is first asked for, and forgotten with the plan. */
const matchers = new WeakMap<object, Matcher>()

/** Whether a text fits the pattern of a condition that was checked when its rule was taken. */
export function fitsPattern(condition: { op: TraitOp; value?: Scalar | Scalar[] }, text: string): boolean {
  let matcher = matchers.get(condition)
  if (matcher === undefined) {
    const pattern = String(condition.value)
    matcher = condition.op === 'like' ? globMatcher(pattern) : expressionMatcher(pattern)
    matchers.set(condition, matcher)
  }
  return matcher(text)
}

function refusedExpression(pattern: string): string | undefined {
  try {
    const size = RE2JS.compile(pattern).programSize()
    return size > RULE_LIMITS.patternSize
      ? `stands for ${size} steps a character, more than ${RULE_LIMITS.patternSize}: use smaller counts in {}`
      : undefined
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error
    const reason = error.message.replace('error parsing regexp: ', '')
    // What cannot be matched in linear time; who writes it comes from another engine.
    const isBeyond = /\(\?<?[=!]|\\[1-9]/.test(pattern)
    const hint = isBeyond ? '; look-around and back references are not known here' : ''
    return `is not a regular expression of RE2: ${reason}${hint}`
  }
}

/** Found anywhere in the text, unless the pattern says ^ or $. */
function expressionMatcher(pattern: string): Matcher {
  const expression = RE2JS.compile(pattern)
  return (text) => text.length <= RULE_LIMITS.matchedLength && expression.test(text)
}

function refusedGlob(pattern: string): string | undefined {
  return /^(?:[^\\]|\\[*?\\])*$/su.test(pattern)
    ? undefined
    : 'has a \\ that does not stand before *, ? or another \\; did you mean "\\\\"?'
}

/** The characters between two stars; null stands for any one. */
type Part = (string | null)[]

function partsOf(pattern: string): Part[] {
  let part: Part = []
  const parts = [part]
  let isLiteral = false
  for (const character of pattern) {
    if (isLiteral) {
      part.push(character)
      isLiteral = false
    } else if (character === '\\') isLiteral = true
    else if (character === '*') {
      part = []
      parts.push(part)
    } else part.push(character === '?' ? null : character)
  }
  return parts
}

/**
 * The whole text. Its ends have to fit the first and the last part; between them each part is taken where it first fits, which
 * leaves the most to those after it, so that nothing is ever tried again.
 */
function globMatcher(pattern: string): Matcher {
  const [head = [], ...others] = partsOf(pattern)
  const tail = others.pop()
  if (tail === undefined)
    return (text) => {
      const characters = [...text]
      return characters.length === head.length && fitsAt(characters, 0, head)
    }
  return (text) => {
    const characters = [...text]
    const end = characters.length - tail.length
    let at = head.length
    if (at > end || !fitsAt(characters, 0, head) || !fitsAt(characters, end, tail)) return false
    for (const part of others) {
      while (at + part.length <= end && !fitsAt(characters, at, part)) at += 1
      at += part.length
      if (at > end) return false
    }
    return true
  }
}

function fitsAt(characters: string[], from: number, part: Part): boolean {
  return part.every((wanted, i) => wanted === null || wanted === characters[from + i])
}
