// docker-compose.yml, Dockerfile and .env.example against the specification, the registry and the configuration table.
import { Ajv2020 } from 'ajv/dist/2020.js'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { RUNNABLE } from '../../cli/run-process.ts'
import { CONFIG_TABLE } from '../../runtime/config.ts'
import { REGISTRY } from '../../workers/registry.ts'
import { COMPOSE_SCHEMA } from '../support/compose-schema.ts'
import { isThere, PRODUCTION, readProjectFile } from '../support/source-tree.ts'

type Service = {
  image: string
  command?: string[]
  environment?: Record<string, string>
  ports?: string[]
  networks?: string[]
  volumes?: string[]
  depends_on?: Record<string, { condition: string }>
  read_only?: boolean
  cap_drop?: string[]
  security_opt?: string[]
  container_name?: string
}
type Compose = {
  services: Record<string, Service>
  networks: Record<string, unknown>
  volumes: Record<string, unknown>
}

type Locked = { dev?: boolean; optional?: boolean; devOptional?: boolean; os?: string[]; cpu?: string[] }

const AJV = { strictTuples: false, allowUnionTypes: true }

const text = readProjectFile('docker-compose.yml')
const compose: Compose = parse(text, { merge: true })
const dockerfile = readProjectFile('Dockerfile')
const envExample = readProjectFile('.env.example')

const entries = Object.entries(compose.services)
/** Services that run Millrace itself and stay. */
const own = entries.filter(([, service]) => service.command?.[0] === 'start')
const knownEnv = new Set<string>(Object.values(CONFIG_TABLE).map((entry) => entry.env))

test('docker-compose.yml has the shape of the Compose Specification', () => {
  const check = new Ajv2020({ ...AJV, allErrors: true }).compile(COMPOSE_SCHEMA)
  check(compose)
  expect(check.errors ?? []).toEqual([])
})

test('a misspelt key of a service would be found', () => {
  const check = new Ajv2020(AJV).compile(COMPOSE_SCHEMA)
  expect(check({ services: { persist: { image: 'x', comand: ['start'] } } })).toBe(false)
  expect(check({ services: { persist: { image: 'x', command: ['start'] } } })).toBe(true)
})

test('every pool and server is one service that starts just it', () => {
  expect(own.map(([name]) => name).sort()).toEqual([...RUNNABLE].sort())
  expect(own.map(([name, service]) => [name, service.command])).toEqual(
    own.map(([name]) => [name, ['start', name]]),
  )
  expect(REGISTRY.map((row) => row.composeService).every((name) => name in compose.services)).toBe(true)
})

test('beside them are only the stores and the migration that all wait for', () => {
  const others = entries.filter(([, service]) => service.command?.[0] !== 'start').map(([name]) => name)
  expect(others.sort()).toEqual(['migrate', 'postgres', 'redis'])
  for (const [name, service] of own) {
    expect(service.depends_on?.migrate?.condition, name).toBe('service_completed_successfully')
    expect(service.depends_on?.redis?.condition, name).toBe('service_healthy')
  }
})

test('any pool can be scaled: no fixed name, no host port on what only works', () => {
  const withPorts = own.filter(([, service]) => service.ports !== undefined).map(([name]) => name)
  expect(withPorts.sort()).toEqual(['api', 'collector', 'dashboard', 'exporter'])
  expect(entries.filter(([, service]) => service.container_name !== undefined)).toEqual([])
  expect(compose.services.collector?.ports).toEqual([
    expect.stringMatching(/^127\.0\.0\.1:\$\{COLLECTOR_PORTS:-\d+\}:8080$/),
  ])
})

test('ports inside the containers are the ones that the services listen on', () => {
  const inside = (name: string) => compose.services[name]?.ports?.map((port) => port.split(':').at(-1))
  expect(inside('collector')).toEqual([CONFIG_TABLE.httpPort.default])
  expect(inside('api')).toEqual([CONFIG_TABLE.httpPort.default])
  expect(inside('dashboard')).toEqual([CONFIG_TABLE.dashboardPort.default])
  expect(inside('exporter')).toEqual([CONFIG_TABLE.exporterPort.default])
  const metricsPort = /MILLRACE_METRICS_PORT=(\d+)/.exec(dockerfile)?.[1]
  expect(dockerfile).toContain(`http://127.0.0.1:${metricsPort}/healthz`)
  expect(/EXPOSE (.*)/.exec(dockerfile)?.[1]?.split(' ')).toContain(metricsPort)
})

test('every port of the host is on loopback', () => {
  const open = entries
    .flatMap(([, service]) => service.ports ?? [])
    .filter((port) => !port.startsWith('127.0.0.1:'))
  expect(open).toEqual([])
})

test('services have no rights that they do not need', () => {
  for (const [name, service] of entries) {
    expect(service.cap_drop, name).toEqual(['ALL'])
    expect(service.security_opt, name).toEqual(['no-new-privileges:true'])
  }
  expect(own.filter(([, service]) => service.read_only !== true)).toEqual([])
  expect(dockerfile).toMatch(/^USER [1-9]\d*:[1-9]\d*$/m)
})

test('Redis keeps every accepted event on disk and evicts none', () => {
  const command = compose.services.redis?.command ?? []
  const setting = (name: string) => command[command.indexOf(`--${name}`) + 1]
  expect(setting('appendonly')).toBe('yes')
  expect(setting('appendfsync')).toBe('always')
  expect(setting('no-appendfsync-on-rewrite')).toBe('no')
  expect(setting('maxmemory-policy')).toBe('noeviction')
  expect(setting('maxmemory')).toBeDefined()
})

test('what the services are given is a key of the configuration', () => {
  const given = own.flatMap(([, service]) => Object.keys(service.environment ?? {}))
  const inImage = [...dockerfile.matchAll(/(MILLRACE_[A-Z_]+)=/g)].map((match) => match[1] ?? '')
  expect([...given, ...inImage].filter((name) => !knownEnv.has(name))).toEqual([])
})

test('secrets are required and have no default, and .env.example names all that compose reads', () => {
  const read = [...text.matchAll(/\$\{([A-Z_]+)(:[?-])?[^}]*\}/g)]
  const named = new Set([...envExample.matchAll(/^([A-Z_]+)=/gm)].map((match) => match[1]))
  expect(read.map((match) => match[1]).filter((name) => !named.has(name ?? ''))).toEqual([])
  expect([...named].filter((name) => !text.includes(`\${${name}`))).toEqual([])
  const required = read.filter((match) => match[2] === ':?').map((match) => match[1])
  expect([...new Set(required)].sort()).toEqual([
    'MILLRACE_ADMIN_PASSWORD',
    'MILLRACE_SECRET',
    'POSTGRES_PASSWORD',
    'REDIS_PASSWORD',
  ])
  expect(envExample).not.toMatch(
    /^(POSTGRES_PASSWORD|REDIS_PASSWORD|MILLRACE_SECRET|MILLRACE_ADMIN_PASSWORD)=./m,
  )
})

test('networks and volumes that services name are declared', () => {
  const networks = new Set(entries.flatMap(([, service]) => service.networks ?? []))
  const volumes = new Set(
    entries.flatMap(([, service]) => service.volumes ?? []).map((one) => one.split(':')[0]),
  )
  expect([...networks].sort()).toEqual(Object.keys(compose.networks).sort())
  expect([...volumes].sort()).toEqual(Object.keys(compose.volumes).sort())
})

test('the image holds the folders of production and is built from what .dockerignore lets through', () => {
  const copied = [...dockerfile.matchAll(/^COPY ([a-z]+) \1$/gm)].map((match) => match[1])
  expect(copied).toEqual([...PRODUCTION].sort())
  const allowed = readProjectFile('.dockerignore')
  for (const folder of copied) expect(allowed).toContain(`!${folder}\n`)
  expect(/^ENTRYPOINT \["node", "(.+)"\]$/m.exec(dockerfile)?.[1]).toSatisfy(isThere)
  expect(dockerfile).toMatch(/--omit=dev .*--ignore-scripts/)
})

test('one set of packages fits every processor: none that the image holds is made for one', () => {
  const { packages }: { packages: Record<string, Locked> } = JSON.parse(readProjectFile('package-lock.json'))
  const held = Object.entries(packages).filter(
    ([name, one]) => name !== '' && !one.dev && !one.optional && !one.devOptional,
  )
  expect(held.length).toBeGreaterThan(200)
  expect(held.filter(([, one]) => one.os !== undefined || one.cpu !== undefined)).toEqual([])
  // What the image's own processor would have to run.
  expect(dockerfile.split(/^FROM /m).at(-1)).not.toMatch(/^RUN /m)
})

test('the image runs the Node that the package asks for', () => {
  const { engines, version } = JSON.parse(readProjectFile('package.json'))
  const major = /(\d+)/.exec(engines.node)?.[1]
  expect([...dockerfile.matchAll(/^FROM (?:--platform=\S+ )?(\S+)/gm)].map((match) => match[1])).toEqual([
    `node:${major}-slim`,
    `node:${major}-slim`,
  ])
  expect(new Set(own.map(([, service]) => service.image))).toEqual(new Set([`millrace:${version}`]))
})
