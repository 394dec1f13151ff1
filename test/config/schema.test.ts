import { Ajv } from 'ajv'
import { test } from 'tap'
import { formats } from '../../src/config/formats.ts'
import { coreSchema, partSchema, record, shippedSchema } from '../../src/config/schema.ts'
import { builtInPlugins } from '../../src/plugins.ts'
import { pluginTypes } from '../support/plugin-types.ts'

test('the built-in schemas hold no unknown keyword and no unknown format', async (t) => {
  const ajv = new Ajv({ strict: true, strictRequired: false, allErrors: true })
  for (const name of Object.keys(formats)) ajv.addFormat(name, true)
  ajv.addVocabulary(['formatMinimum', 'formatMaximum'])
  const schemas = [coreSchema, ...(await builtInPlugins()).map(partSchema)]
  for (const schema of schemas) t.doesNotThrow(() => ajv.compile(schema))
  t.ok(schemas.length >= 4)
})

test('the shipped schema needs nothing but JSON Schema, and knows every type', async (t) => {
  const schema = shippedSchema(await builtInPlugins())
  t.equal(schema['$schema'], 'http://json-schema.org/draft-07/schema#')
  const validate = new Ajv({ strict: true, strictTypes: false, strictRequired: false }).compile(schema)
  const good = {
    gateway: { id: `\${SITE}` },
    log: { commitDelay: '10ms', maxBytes: `\${SIZE}` },
    sources: [{ name: 'broker', type: 'mqtt-broker', listen: '127.0.0.1:1883', maxPacketBytes: '64KiB' }],
    sinks: [
      { name: 'cloud', type: 'amqp', url: 'amqp://h', batch: { maxDelay: '1s' } },
      { name: 'hub', type: 'amqp1', url: 'amqp://h' },
    ],
  }
  t.ok(validate(good), JSON.stringify(validate.errors))
  t.notOk(validate({ ...good, sources: [{ name: 'broker', type: 'mqtt-broker', maxPacketBytes: 1 }] }))
  t.notOk(validate({ ...good, sources: [{ name: 'broker', type: 'mqtt-broker', unknown: 1 }] }))
  t.notOk(validate({ ...good, sinks: [{ name: 'cloud', type: 'amqp' }] }), 'a required key of the type is missing')
  t.notOk(validate({ ...good, sinks: [{ name: 'cloud', type: 'amqpp', url: 'amqp://h' }] }))
})

test('only formats become patterns: properties that bear such names stay', (t) => {
  const [broker] = pluginTypes
  const schema = shippedSchema([
    {
      kind: 'sink',
      type: 'file',
      schema: {
        $defs: { unit: { type: 'string', format: 'size' } },
        properties: {
          format: { type: 'string', description: 'of the lines', format: 'duration', formatMinimum: '1s' },
          size: { $ref: '#/$defs/unit' },
        },
      },
    },
    ...(broker === undefined ? [] : [broker]),
  ])
  const text = JSON.stringify(schema)
  t.match(text, '"of the lines; at least 1s"')
  t.notMatch(text, '"format":"duration"')
  t.notMatch(text, 'formatMinimum')
  const validate = new Ajv({ strict: false }).compile(schema)
  t.ok(validate({ sinks: [{ name: 'a', type: 'file', format: '1s', size: '1B' }] }), JSON.stringify(validate.errors))
  t.notOk(validate({ sinks: [{ name: 'a', type: 'file', size: 'big' }] }), 'a plug-in’s own $ref resolves')
  t.ok(record(schema['properties'])['sinks'])
  t.end()
})
