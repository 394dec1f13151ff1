// The part of the OpenAPI description about posting readings. Its examples are posted by a test.

const reference = (name: string) => ({ $ref: `#/components/schemas/${name}` })
const problem = { $ref: '#/components/responses/Problem' }
const retry = { 'Retry-After': { description: 'Seconds', schema: { type: 'integer' } } }
const binary = { type: 'string', contentMediaType: 'application/octet-stream' }

const readings = [
  { device: 'greenhouse', name: 'temperature', value: 21.5, unit: 'Cel', time: '2026-11-20T10:00:00.123Z' },
  { device: 'greenhouse', name: 'door open', value: false },
]
const pack = [
  { bn: 'greenhouse/', n: 'temperature', u: 'Cel', v: 21.5, bt: 1795168800 },
  { n: 'humidity', u: '%RH', v: 45 },
]
const lines = 'weather,room=attic temperature=21.5,open=t 1795168800123456789\ntank level=3i\n'
const event = { specversion: '1.0', id: 'A-1', source: '/stations/7', type: 'com.example.weather' }
const withData = { ...event, time: '2026-11-20T10:00:00Z', data: readings }
const withPack = { ...event, id: 'A-2', datacontenttype: 'application/senml+json', data: pack }

const key = {
  name: 'Idempotency-Key',
  in: 'header',
  description:
    'A text in quotes, new for each new body: what was taken under it is not taken again, and answered with the same seq. Remembered for 24 hours, restarts included; at most the newest 10,000',
  schema: { type: 'string', maxLength: 257 },
  example: '"8e03978e-40d5-43e8-bc93-6894a57f9324"',
}
const encoding = {
  name: 'Content-Encoding',
  in: 'header',
  description: 'The limit of 1 MiB is that of the inflated body',
  schema: { enum: ['gzip', 'identity'] },
}
const precision = {
  name: 'precision',
  in: 'query',
  description: 'Of line protocol: the unit of its timestamps',
  schema: { enum: ['ns', 'us', 'ms', 's', 'm', 'h', 'n', 'u'], default: 'ns' },
}
const ignored = (name: string) => ({ name, in: 'query', description: 'Ignored', schema: { type: 'string' } })

const refusals = {
  409: { description: 'The first request with this Idempotency-Key is not answered yet', headers: retry },
  413: { description: 'More than 1 MiB, or more than 5,000 readings' },
  415: { description: 'A media type, or a content encoding, that is not taken' },
  422: { description: 'The Idempotency-Key belongs to another body' },
  503: { description: 'The log takes nothing for now; nothing was taken', headers: retry },
  default: problem,
}

export const postReadings = {
  operationId: 'postReadings',
  summary: 'Takes readings, all or none; answers once they are durable',
  parameters: [key, encoding, precision],
  requestBody: {
    required: true,
    content: {
      'application/json': {
        schema: {
          oneOf: [
            reference('PostedReading'),
            { type: 'array', minItems: 1, items: reference('PostedReading') },
            reference('SenmlPack'),
          ],
        },
        examples: { one: { value: readings[0] }, several: { value: readings }, senml: { value: pack } },
      },
      'application/senml+json': { schema: reference('SenmlPack'), examples: { pack: { value: pack } } },
      'application/sensml+json': { schema: reference('SenmlPack') },
      'application/senml+cbor': { schema: { ...binary, description: 'RFC 8428, 6' } },
      'application/sensml+cbor': { schema: { ...binary, description: 'RFC 8428, 6' } },
      'text/plain': {
        schema: { type: 'string', description: 'InfluxDB line protocol; the device is the measurement and its tags' },
        examples: { lines: { value: lines } },
      },
      'application/cloudevents+json': {
        schema: reference('CloudEvent'),
        examples: { readings: { value: withData }, senml: { value: withPack } },
      },
      'application/cloudevents-batch+json': {
        schema: { type: 'array', maxItems: 1_000, items: reference('CloudEvent') },
        examples: { batch: { value: [withData, withPack] } },
      },
    },
  },
  responses: {
    201: {
      description: 'Durable',
      content: {
        'application/json': {
          schema: {
            type: 'object',
            required: ['seq'],
            properties: {
              seq: reference('Seq'),
              first: { ...reference('Seq'), description: 'Of the first message, where the body became several' },
            },
          },
        },
      },
    },
    ...refusals,
  },
}

const write = (operationId: string, summary: string, ...others: readonly string[]) => ({
  post: {
    operationId,
    summary,
    description:
      'For devices that know this door: the same as posting line protocol, whatever the media type says. All lines or none. A token goes into `Authorization: Token …` or `Bearer …`, never into the URL.',
    parameters: [precision, ...others.map(ignored), key, encoding],
    requestBody: {
      required: true,
      content: { 'text/plain': { schema: { type: 'string' }, examples: { lines: { value: lines } } } },
    },
    responses: { 204: { description: 'Durable' }, ...refusals },
  },
})

export const influxPaths = {
  '/write': write('writeInflux1', 'InfluxDB 1', 'db', 'rp', 'consistency'),
  '/api/v2/write': write('writeInflux2', 'InfluxDB 2', 'org', 'bucket'),
  '/ping': {
    get: {
      operationId: 'pingInflux',
      summary: 'What clients of InfluxDB ask before they write',
      responses: { 204: { description: 'Here' }, default: problem },
    },
  },
}

export const cloudEventSchema = {
  type: 'object',
  required: ['specversion', 'id', 'source', 'type'],
  description:
    'CloudEvents 1.0; in binary mode the attributes are ce- headers. The data is whatever could be posted by itself, as `datacontenttype` says. Readings without a time have that of the event',
  properties: {
    specversion: { const: '1.0' },
    id: { type: 'string', minLength: 1 },
    source: { type: 'string', minLength: 1 },
    type: { type: 'string', minLength: 1 },
    time: { type: 'string', format: 'date-time' },
    datacontenttype: { type: 'string', default: 'application/json' },
    data: {},
    data_base64: { type: 'string', contentEncoding: 'base64' },
  },
}
