// What the profile says of samples whose place is known, and that its picture shows all of it.
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { drawProfile } from '../../loadtest/profile/draw.ts'
import { type CpuProfile, sharesOf } from '../../loadtest/profile/shares.ts'

const at = (path: string) => new URL(`../../${path}`, import.meta.url).href
const frame = (id: number, functionName: string, url = '') => ({ id, callFrame: { functionName, url } })

const PROFILE: CpuProfile = {
  nodes: [
    frame(1, '(idle)'),
    frame(2, '(garbage collector)'),
    frame(3, 'normalise', at('domain/normalise.ts')),
    frame(4, 'ingest', at('workers/ingest/ingest.ts')),
    frame(5, 'write', 'node:internal/stream_base_commons'),
    frame(6, 'execute', fileURLToPath(at('node_modules/postgres/src/connection.js'))),
    frame(7, 'add', at('node_modules/@opentelemetry/api/build/index.js')),
    frame(8, '(program)'),
    frame(9, 'writeUtf8String'),
  ],
  startTime: 1_000,
  samples: [3, 3, 1, 3, 4, 5, 6, 7, 8, 9, 2, 3],
  timeDeltas: [100, 100, 700, 100, 100, 100, 100, 100, 100, 100, 100, 5_000],
}

test('busy time within the window is shared out by folder, package and kind of native code', () => {
  // The first sample ends before the window, the last one after it; idle time counts for nothing.
  expect(sharesOf(PROFILE, { from: 1_150, to: 3_000 })).toEqual({
    domain: 0.222,
    'workers/ingest': 0.111,
    'Node: internal': 0.111,
    postgres: 0.111,
    '@opentelemetry/api': 0.111,
    'outside of JavaScript': 0.111,
    'writing to sockets': 0.111,
    'garbage collection': 0.111,
    'the rest': 0,
  })
})

test('what is below one in a hundred is the rest', () => {
  const profile: CpuProfile = { ...PROFILE, samples: [3, 4], timeDeltas: [9_950, 50] }
  expect(sharesOf(profile, { from: 0, to: 20_000 })).toEqual({ domain: 0.995, 'the rest': 0.005 })
})

test('the picture has a bar for every pool, as long as its time, and names every family of parts', () => {
  const row = (stage: string, microseconds: number) => ({
    phase: 'batches of 100',
    stage,
    microseconds,
    shares: { domain: 0.5, store: 0.25, ioredis: 0.25 },
  })
  const svg = drawProfile([row('ingest', 10), row('persist', 5)])
  const widths = [...svg.matchAll(/width="([\d.]+)" height="22"/g)].map((match) => Number(match[1]))
  expect(widths).toEqual([450, 150, 225, 75])
  for (const name of [
    'ingest',
    'persist',
    "Millrace's own code: 7.5 µs",
    'BullMQ and ioredis: 2.5 µs',
    '10.0',
  ])
    expect(svg).toContain(name)
})
