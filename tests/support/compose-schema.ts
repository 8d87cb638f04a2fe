// The part of the Compose Specification that docker-compose.yml uses, as JSON Schema, written from the specification:
// unknown keys are mistakes here, so that a misspelt one is found without a Docker engine.

const text = { type: 'string' }
const texts = { type: 'array', items: text }
const duration = { type: 'string', pattern: '^(\\d+(ms|s|m|h))+$' }
const size = { type: 'string', pattern: '^\\d+(b|k|m|g|kb|mb|gb)$' }
const environment = {
  type: 'object',
  propertyNames: { pattern: '^[A-Z][A-Z0-9_]*$' },
  additionalProperties: { type: ['string', 'number', 'null'] },
}

function object(properties: Record<string, unknown>, required: string[] = []) {
  return { type: 'object', additionalProperties: false, properties, required }
}

const healthcheck = object({
  disable: { type: 'boolean' },
  test: {
    type: 'array',
    items: text,
    minItems: 2,
    prefixItems: [{ enum: ['CMD', 'CMD-SHELL'] }],
  },
  interval: duration,
  timeout: duration,
  start_period: duration,
  retries: { type: 'integer', minimum: 1 },
})

const dependsOn = {
  type: 'object',
  additionalProperties: object(
    {
      condition: { enum: ['service_started', 'service_healthy', 'service_completed_successfully'] },
      restart: { type: 'boolean' },
      required: { type: 'boolean' },
    },
    ['condition'],
  ),
}

const service = {
  ...object({
    image: text,
    build: text,
    command: texts,
    environment,
    restart: { enum: ['no', 'always', 'on-failure', 'unless-stopped'] },
    init: { type: 'boolean' },
    stop_grace_period: duration,
    read_only: { type: 'boolean' },
    tmpfs: texts,
    cap_drop: texts,
    cap_add: texts,
    security_opt: texts,
    shm_size: size,
    networks: texts,
    volumes: { type: 'array', items: { type: 'string', pattern: '^[a-z-]+:/[a-z/-]+(:ro)?$' } },
    ports: { type: 'array', items: { type: 'string', pattern: ':\\d+$' } },
    depends_on: dependsOn,
    healthcheck,
  }),
  anyOf: [{ required: ['image'] }, { required: ['build'] }],
}

export const COMPOSE_SCHEMA = {
  type: 'object',
  additionalProperties: false,
  // Keys that start with x- hold what several services share.
  patternProperties: { '^x-': {} },
  required: ['services'],
  properties: {
    name: text,
    services: {
      type: 'object',
      propertyNames: { pattern: '^[a-zA-Z0-9._-]+$' },
      additionalProperties: service,
    },
    networks: { type: 'object', additionalProperties: object({ internal: { type: 'boolean' } }) },
    volumes: { type: 'object', additionalProperties: object({ driver: text }) },
  },
}
