// The description of the HTTP API in OpenAPI 3.1, as it is served. A test compares its paths with what the server answers.

import { cloudEventSchema, influxPaths, postReadings } from './openapi-ingest.ts'
import { openApiSchemas } from './openapi-schemas.ts'

interface DescriptionOptions {
  readonly version: string
  readonly tokenRequired: boolean
}

const reference = (name: string) => ({ $ref: `#/components/schemas/${name}` })
const json = (schema: object, type = 'application/json') => ({ [type]: { schema } })
const answer = (description: string, schema: object, type?: string) => ({ description, content: json(schema, type) })
const problem = { $ref: '#/components/responses/Problem' }
const query = (name: string, description: string, schema: object = { type: 'string' }) => ({
  name,
  in: 'query',
  description,
  schema,
})

const DEVICE = query('device', 'MQTT Topic Filter over devices; may be given several times', {
  type: 'array',
  items: { type: 'string' },
})
const NAME = query('name', 'Name of the reading; may be given several times', {
  type: 'array',
  items: { type: 'string' },
})
const AFTER = query('after', 'Only what is newer than this seq', reference('Seq'))
const LIMIT = query('limit', 'Readings in one answer; whole messages, so it may be a few more', {
  type: 'integer',
  minimum: 1,
  maximum: 10_000,
  default: 1_000,
})
const DURATION = { type: 'string', pattern: '^[0-9]+(\\.[0-9]+)?(ms|s|m|min|h|d)$', examples: ['500ms', '30s'] }
const TIME = { type: 'string', format: 'date-time' }
const DEVICE_PATH = {
  name: 'device',
  in: 'path',
  required: true,
  description: 'Name of the device, percent-encoded; slashes may stand as they are',
  schema: { type: 'string' },
}

const readings = {
  get: {
    operationId: 'getReadings',
    summary: 'Last values; with `after`, what is newer than a seq, in order',
    parameters: [
      DEVICE,
      NAME,
      AFTER,
      query('wait', 'With `after`: how long to wait for something newer, up to 60s', DURATION),
      { ...LIMIT, description: `With \`after\`: ${LIMIT.description}` },
      { name: 'If-None-Match', in: 'header', description: 'Entity tag of the last answer', schema: { type: 'string' } },
    ],
    responses: {
      200: {
        ...answer('The readings, and the seq to go on from', reference('Readings')),
        headers: { ETag: { description: 'Without `after`: strong entity tag', schema: { type: 'string' } } },
      },
      204: {
        description: 'Nothing newer came in time',
        headers: { 'Tidegate-Seq': { description: 'Newest seq of the gateway', schema: reference('Seq') } },
      },
      304: { description: 'Nothing that matches has changed' },
      default: problem,
    },
  },
  post: postReadings,
}

const devices = {
  get: {
    operationId: 'getDevices',
    summary: 'All devices that are known',
    responses: { 200: answer('The devices', reference('Devices')), default: problem },
  },
}

const device = {
  parameters: [DEVICE_PATH],
  get: {
    operationId: 'getDevice',
    summary: 'One device with its last values',
    responses: { 200: answer('The device', reference('DeviceWithReadings')), default: problem },
  },
}

const commands = {
  parameters: [DEVICE_PATH],
  get: {
    operationId: 'getCommands',
    summary: 'The last commands to a device and what became of them, the newest first, from the log',
    responses: { 200: answer('The commands', reference('Commands')), default: problem },
  },
  post: {
    operationId: 'sendCommand',
    summary: 'Sends a command of its profile, or something of your own, to a device; 409 where no source reaches it',
    requestBody: { required: true, content: json(reference('Command')) },
    responses: {
      202: answer('The source of the device took it', {
        type: 'object',
        required: ['id'],
        properties: { id: { type: 'string' } },
      }),
      default: problem,
    },
  },
}

const history = {
  get: {
    operationId: 'getHistory',
    summary: 'Readings from the log, oldest first',
    parameters: [
      DEVICE,
      NAME,
      query(
        'from',
        'Readings of this time or later (RFC 3339, or Unix milliseconds); those that arrived more than an hour before it are not looked for',
        TIME,
      ),
      query('to', 'Readings before this time; those that arrived more than a day after it are not looked for', TIME),
      AFTER,
      LIMIT,
      query('every', 'Minimum, mean and maximum per step of this length instead of the readings', DURATION),
    ],
    responses: {
      200: answer('A page; `next` is the `after` of the next one, absent on the last', {
        oneOf: [reference('HistoryPage'), reference('HistorySteps')],
      }),
      default: problem,
    },
  },
}

const profileDraft = {
  get: {
    operationId: 'getProfileDraft',
    summary: 'A draft of a device profile (YAML), from the newest messages that the log holds',
    parameters: [
      query('topic', 'A Topic Filter; its first + is taken for the device', { type: 'string' }),
      query('device', 'Or a device that no profile claims', { type: 'string' }),
    ],
    responses: { 200: answer('The draft', { type: 'string' }, 'application/yaml'), default: problem },
  },
}

const events = {
  get: {
    operationId: 'getEvents',
    summary: 'Readings as Server-Sent Events: a snapshot first, or everything since Last-Event-ID; `id` is the seq',
    parameters: [
      DEVICE,
      NAME,
      AFTER,
      query('every', 'At least this long between two events, with the newest values', DURATION),
      { name: 'Last-Event-ID', in: 'header', schema: reference('Seq') },
    ],
    responses: {
      200: answer('The data of each event is a StreamMessage in JSON', reference('StreamMessage'), 'text/event-stream'),
      default: problem,
    },
  },
}

const operation = (operationId: string, summary: string, ok: object) => ({
  get: { operationId, summary, responses: { 200: ok, default: problem } },
})

export const openApi = ({ version, tokenRequired }: DescriptionOptions): object => ({
  openapi: '3.1.0',
  info: {
    title: 'tidegate',
    version,
    description:
      'Live values and history of a telemetry gateway. The WebSocket is at /api/v1/live: JSON messages `hello`, `auth`, `subscribe`, `snapshot`, `readings`, `gap`, `command`, `unsubscribe`, `ping`.',
    license: { name: 'MIT', identifier: 'MIT' },
  },
  servers: [{ url: '/' }],
  security: tokenRequired ? [{ token: [] }] : [],
  paths: {
    '/api/v1/readings': readings,
    '/api/v1/devices': devices,
    '/api/v1/devices/{device}': device,
    '/api/v1/devices/{device}/commands': commands,
    '/api/v1/history': history,
    '/api/v1/events': events,
    '/api/v1/profile-draft': profileDraft,
    '/api/v1/status': operation('getStatus', 'What `tidegate status --json` prints', answer('', { type: 'object' })),
    '/api/v1/openapi.json': operation('getOpenApi', 'This description', answer('', { type: 'object' })),
    '/api/v1/config-schema.json': operation(
      'getConfigSchema',
      'JSON Schema of the configuration file',
      answer('', { type: 'object' }, 'application/schema+json'),
    ),
    ...influxPaths,
    '/metrics': operation('getMetrics', 'Metrics for Prometheus', answer('', { type: 'string' }, 'text/plain')),
    '/livez': operation('getLiveness', 'Whether the process answers', answer('', { type: 'object' })),
    '/readyz': operation('getReadiness', 'Whether it does its work; 503 with reasons', answer('', { type: 'object' })),
  },
  components: {
    schemas: { ...openApiSchemas, CloudEvent: cloudEventSchema },
    responses: { Problem: answer('What went wrong (RFC 9457)', reference('Problem'), 'application/problem+json') },
    securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
  },
})
