// Addresses are kept as networks.
import { isIP } from 'node:net'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { truncateIp } from '../../domain/ip.ts'

test('an IPv4 address loses its last byte, also inside IPv6', () => {
  expect(truncateIp('203.0.113.77')).toBe('203.0.113.0')
  expect(truncateIp('::ffff:203.0.113.77')).toBe('203.0.113.0')
})

test('an IPv6 address keeps 48 bits, however it is written', () => {
  expect(truncateIp('2001:db8:1:2:3:4:5:6')).toBe('2001:db8:1::')
  expect(truncateIp('2001:0db8:0000::6')).toBe('2001:db8::')
  expect(truncateIp('fe80::1%eth0')).toBe('fe80::')
  expect(truncateIp('::1')).toBe('::')
})

test('any address becomes an address that truncating again does not change', () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (address) => {
      const network = truncateIp(address) ?? ''
      expect(isIP(network)).toBeGreaterThan(0)
      expect(truncateIp(network)).toBe(network)
    }),
  )
})

test('what is no address is not kept', () => {
  expect(truncateIp('unknown')).toBeUndefined()
})
