// IP addresses as Millrace keeps them: the network of the sender, not the person's line, unless the deployment wants
// all of it. Called by the collector. Pure.
import { isIP } from 'node:net'

/** The plain form of an address as a socket gives it: an IPv4 address inside IPv6 is that IPv4 address, no zone. */
export function plainIp(address: string): string {
  const text = address.split('%', 1)[0] ?? ''
  return /^::ffff:\d+\.\d+\.\d+\.\d+$/i.test(text) ? text.slice(7) : text
}

/** The /24 of an IPv4 and the /48 of an IPv6 address, in the form of an address; undefined for what is neither. */
export function truncateIp(address: string): string | undefined {
  const plain = plainIp(address)
  const family = isIP(plain)
  if (family === 4) return `${plain.slice(0, plain.lastIndexOf('.'))}.0`
  if (family === 6) return truncateIpv6(plain)
  return undefined
}

function truncateIpv6(address: string): string {
  const [head = '', tail] = address.split('::')
  const groups = head === '' ? [] : head.split(':')
  // `::` stands for the zeros that are missing to eight groups; a dotted tail counts as two.
  if (tail !== undefined) {
    const after = tail === '' ? [] : tail.split(':')
    const width = after.length + (tail.includes('.') ? 1 : 0)
    while (groups.length + width < 8) groups.push('0')
    groups.push(...after)
  }
  const kept = groups.slice(0, 3).map((group) => Number.parseInt(group, 16).toString(16))
  return `${kept.join(':').replace(/(^|:)0(:0)*$/, '$1')}::`.replace(':::', '::')
}
