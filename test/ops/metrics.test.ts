import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { metricTable } from '../../src/ops/metric-table.ts'
import { createMetrics } from '../../src/ops/metrics.ts'
import { rememberingLogger } from '../support/context.ts'

const sample = (text: string, series: string): number | undefined => {
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${series} `))
  return line === undefined ? undefined : Number(line.slice(series.length))
}

test('counters, gauges and histograms come out in the text format, with the prefix', async (t) => {
  const metrics = createMetrics(rememberingLogger())
  metrics.add('messages_received_total', { source: 'broker' })
  metrics.add('messages_received_total', { source: 'broker' }, 4)
  metrics.set('log_bytes', 1_024)
  metrics.set('log_bytes', 512)
  metrics.observe('log_commit_seconds', 0.004)
  metrics.observe('sink_write_seconds', 0.2, { sink: 'cloud' })
  const text = await metrics.text()
  t.equal(sample(text, 'tidegate_messages_received_total{source="broker"}'), 5)
  t.equal(sample(text, 'tidegate_log_bytes'), 512)
  t.equal(sample(text, 'tidegate_log_commit_seconds_bucket{le="0.005"}'), 1)
  t.equal(sample(text, 'tidegate_log_commit_seconds_bucket{le="0.0025"}'), 0)
  t.equal(sample(text, 'tidegate_log_commit_seconds_count'), 1)
  t.equal(sample(text, 'tidegate_sink_write_seconds_sum{sink="cloud"}'), 0.2)
  t.ok((sample(text, 'process_resident_memory_bytes') ?? 0) > 1_000_000)
  t.match(metrics.contentType, /^text\/plain; version=0\.0\.4/)
  t.equal(await metrics.text().then((again) => sample(again, 'tidegate_messages_received_total{source="broker"}')), 5)
})

test('every metric of the table is described, and the contract names are there', async (t) => {
  const text = await createMetrics(rememberingLogger()).text()
  for (const [name, { kind }] of Object.entries(metricTable)) t.match(text, `# TYPE tidegate_${name} ${kind}\n`)
  const contract = [
    'messages_received_total{source}',
    'messages_durable_total',
    'lost_messages_total{reason}',
    'sink_backlog_messages{sink}',
    'sink_confirmed_messages_total{sink}',
    'decode_faults_total{profile}',
    'log_bytes',
    'log_written_bytes_total',
    'log_commit_seconds',
    'clock_synced',
  ]
  for (const entry of contract) {
    const [name = '', label] = entry.replace('}', '').split('{')
    t.strictSame(metricTable[name]?.labels ?? [], label === undefined ? [] : [label], entry)
  }
  t.equal(sample(text, 'tidegate_messages_durable_total'), 0, 'a metric without labels is there from the start')
  t.equal(sample(text, 'tidegate_lost_messages_total{reason="retention"}'), 0, 'so is every known reason')
})

test('a counter that follows another count never goes back', async (t) => {
  const metrics = createMetrics(rememberingLogger())
  metrics.set('messages_durable_total', 10)
  metrics.set('messages_durable_total', 3)
  metrics.add('messages_durable_total', undefined, -5)
  t.equal(sample(await metrics.text(), 'tidegate_messages_durable_total'), 10)
})

test('an unknown name and a value that is no number harm nothing; the name is logged once', async (t) => {
  const logger = rememberingLogger()
  const metrics = createMetrics(logger)
  for (let round = 0; round < 3; round++) {
    metrics.add('no_such_total')
    metrics.set('no_such', 1)
    metrics.observe('no_such_seconds', 1)
  }
  metrics.set('log_bytes', Number.NaN)
  metrics.add('messages_durable_total', {}, Number.POSITIVE_INFINITY)
  metrics.observe('log_commit_seconds', Number.NaN)
  t.equal(sample(await metrics.text(), 'tidegate_log_bytes'), 0)
  t.strictSame(
    logger.lines.map(({ fields }) => fields),
    [{ metric: 'no_such_total' }, { metric: 'no_such' }, { metric: 'no_such_seconds' }],
  )
})

test('series are bounded: what is too many is counted under other', async (t) => {
  const metrics = createMetrics(rememberingLogger())
  for (let index = 0; index < 1_000; index++) metrics.add('mqtt_refused_total', { source: `s${index}`, reason: 'size' })
  const text = await metrics.text()
  const lines = text.split('\n').filter((line) => line.startsWith('tidegate_mqtt_refused_total{'))
  t.equal(lines.length, 257)
  t.equal(sample(text, 'tidegate_mqtt_refused_total{source="other",reason="other"}'), 744)
})

test('a label value cannot break the text', async (t) => {
  const metrics = createMetrics(rememberingLogger())
  metrics.add('decode_faults_total', { profile: 'a"b\\c\nd' })
  t.equal(sample(await metrics.text(), 'tidegate_decode_faults_total{profile="a\\"b\\\\c\\nd"}'), 1)
})

test('what is cheaper to ask for is asked before each text, until it is removed', async (t) => {
  const metrics = createMetrics(rememberingLogger())
  let asked = 0
  const remove = metrics.beforeText(() => metrics.set('log_bytes', ++asked))
  t.equal(sample(await metrics.text(), 'tidegate_log_bytes'), 1)
  remove()
  t.equal(sample(await metrics.text(), 'tidegate_log_bytes'), 1)
})

test('every metric that the program counts is in the table', async (t) => {
  const source = join(import.meta.dirname, '../../src')
  const files = (await readdir(source, { recursive: true })).filter((name) => name.endsWith('.ts'))
  const used = new Set<string>()
  for (const file of files) {
    const text = await readFile(join(source, file), 'utf8')
    for (const [, first = ''] of text.matchAll(/met(?:er|rics)\??\.(?:add|set|observe)\(([^,)]*)/g))
      for (const [, name = ''] of first.matchAll(/'([a-z_]+)'/g)) used.add(name)
  }
  t.ok(used.size > 20, `${used.size} names were found`)
  t.strictSame(
    [...used].filter((name) => metricTable[name] === undefined),
    [],
  )
})
