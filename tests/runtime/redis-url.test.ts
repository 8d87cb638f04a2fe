// REDIS_URL: one server, a cluster, or sentinels; anything else is refused with what may stand there.
import { expect, test } from 'vitest'
import { readConfig } from '../../runtime/config.ts'
import { parseRedisUrl, redisPlaces } from '../../runtime/redis-url.ts'

test.each([
  ['redis://localhost', { kind: 'single', hosts: [{ host: 'localhost', port: 6379 }], tls: false }],
  ['redis://:p%40ss@10.0.0.1:6380/0', { kind: 'single', password: 'p@ss', username: undefined }],
  ['rediss://app:100%@r.example:6379', { username: 'app', password: '100%', tls: true }],
  ['redis://[::1]:7000', { hosts: [{ host: '::1', port: 7000 }] }],
  [
    'redis+cluster://:s@a:1,b:2,c',
    {
      kind: 'cluster',
      hosts: [
        { host: 'a', port: 1 },
        { host: 'b', port: 2 },
        { host: 'c', port: 6379 },
      ],
    },
  ],
  [
    'rediss+sentinel://:s@a,b:26380/mymaster',
    {
      kind: 'sentinel',
      master: 'mymaster',
      tls: true,
      hosts: [
        { host: 'a', port: 26379 },
        { host: 'b', port: 26380 },
      ],
    },
  ],
])('%s is an address', (text, expected) => {
  expect(parseRedisUrl(text)).toMatchObject(expected)
})

test.each([
  'localhost:6379',
  'http://localhost',
  'redis://',
  'redis://a,b',
  'redis://a:99999',
  'redis+cluster://a,,b',
  'redis+cluster://a,b/0',
  'redis+sentinel://a,b',
  'redis+other://a',
])('%s is refused', (text) => {
  expect(parseRedisUrl(text)).toBeUndefined()
  expect(() => readConfig({ REDIS_URL: text })).toThrow(/REDIS_URL is not redis:\/\/…, redis\+cluster/)
})

test('places are shown without user and password', () => {
  expect(redisPlaces('redis+cluster://user:secret@a:1,b:2')).toBe('a:1, b:2')
  expect(redisPlaces('redis://:secret@h')).toBe('h:6379')
})
