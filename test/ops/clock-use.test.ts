// Who reads the wall clock: it stamps what people read and what leaves the gateway, and it measures nothing, because it jumps.
// Retention, retries, deadlines and ages run on timers and on the monotonic clock.

import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { test } from 'tap'

const SOURCE = resolve(import.meta.dirname, '../../src')

/** File or folder of src → what it takes the time of day for. */
const READERS: Readonly<Record<string, string>> = {
  'api/ingest-keys.ts': 'age of idempotency keys across a restart',
  'api/ingest.ts': 'arrival of a posted Pack, whose times may be relative to it',
  'commands/commander.ts': 'time of a command, in its record',
  'core/contract.ts': 'the declaration of the clock',
  'cli/decode.ts': 'arrival, as the gateway would stamp it',
  'cli/simulate.ts': 'a device that knows the time',
  'forward/clock-hold.ts': 'since, in the status',
  'forward/dead-letters.ts': 'time in a dead letter',
  'forward/forwarder.ts': 'since and last progress, in the status',
  'forward/thread.ts': 'since, in the status',
  'forward/worker-loop.ts': 'since, in the status',
  'gateway.ts': 'started at and now, in the status',
  'live/device.ts': 'silence across a restart of the machine, where the clock was set on both sides',
  'log/clock-marks.ts': 'the clock mark itself',
  'log/commit-queue.ts': 'arrival, and the step that ends a block',
  'log/log.ts': 'time of a loss mark and of what is set aside',
  'log/losses.ts': 'time of a loss mark',
  'log/quarantine.ts': 'time of what is set aside',
  'log/recovery.ts': 'time of a loss mark',
  'log/segment-store.ts': 'creation of a segment',
  'ops/clock.ts': 'whether it is set',
  'ops/clock-watch.ts': 'whether it stepped',
  'sinks/amqp/sink.ts': 'time of a loss note',
  'sinks/amqp1/sink.ts': 'time of a loss note',
  'sinks/sink-health.ts': 'since, in the status',
  'sources/modbus/source.ts': 'since, in the status',
  'sources/mqtt-broker/source.ts': 'since, in the status',
  'sources/mqtt-client/source.ts': 'since, in the status',
  'sources/serial/source.ts': 'since, in the status',
  'web/age.tsx': 'ages by the clock that made the times',
  'web/connection.ts': 'since, on the page',
  'web/gateway-panel.tsx': 'whether a time is of today',
  'web/header.tsx': 'whether a time is of today',
  'web/main.tsx': 'since, on the page',
  'web/status-poll.ts': "how far the browser's clock is from the gateway's",
}
/** Those of them that may subtract or compare it. */
const RECKONERS = new Set([
  'api/ingest-keys.ts',
  'live/device.ts',
  'log/commit-queue.ts',
  'ops/clock.ts',
  'ops/clock-watch.ts',
  'web/age.tsx',
])

const READ = /\bDate\.now\b|\bwallMs\(\)|\bnew Date\(\)/
const RECKONED =
  /(?:Date\.now\(\)|wallMs\(\))\s*(?:[-+<>]|>=|<=)|(?:[-+<>]|>=|<=)\s*[\w.#]*\b(?:Date\.now\(\)|wallMs\(\))/

const offences = (files: ReadonlyMap<string, string>): string[] => {
  const found: string[] = []
  for (const [file, text] of files)
    for (const [index, line] of text.split('\n').entries()) {
      const code = line.replace(/^\s*(?:\/\/|\*|\/\*).*/, '')
      // An arrow returns it, and a type declares it: neither is a comparison.
      const reckoned = RECKONED.test(code.replaceAll('=>', ''))
      if (READ.test(code) && READERS[file] === undefined) found.push(`${file}:${index + 1} reads the wall clock`)
      if (reckoned && !RECKONERS.has(file)) found.push(`${file}:${index + 1} reckons with the wall clock`)
    }
  return found
}

test('nothing measures by the wall clock, and who reads it says what for', async (t) => {
  const names = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' }).filter((name) => /\.tsx?$/.test(name))
  t.ok(names.length > 150, `${names.length} files were read`)
  const files = new Map(names.map((name) => [name, readFileSync(join(SOURCE, name), 'utf8')]))
  t.strictSame(offences(files), [])
})

test('the test above sees a deadline by the wall clock', async (t) => {
  const bad = new Map([
    ['api/new.ts', 'const at = Date.now()'],
    ['forward/forwarder.ts', 'if (clock.wallMs() > this.#dueMs) return'],
    ['gateway.ts', 'const ageMs = now - this.#clock.wallMs()'],
    ['log/losses.ts', '// Date.now() - 1\nconst time = () => clock.wallMs()'],
  ])
  t.strictSame(offences(bad), [
    'api/new.ts:1 reads the wall clock',
    'forward/forwarder.ts:1 reckons with the wall clock',
    'gateway.ts:1 reckons with the wall clock',
  ])
})
