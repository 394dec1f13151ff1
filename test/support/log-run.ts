// A short life of a log, for strace to interfere with: every message is one commit, segments roll, are retired and written
// over, a cursor moves, the log is closed. It says on standard output, one line each, what it was told: `acked SEQ TEXT`,
// `settled SEQ` before it tells the log so, `closed`. Parameters: data directory, prefix of the texts, number of messages.

import { writeSync } from 'node:fs'
import { join } from 'node:path'
import { argv, exit } from 'node:process'
import { openCursor } from '../../src/log/cursor.ts'
import { nodeFileSystem } from '../../src/log/file-system.ts'
import { openLog } from '../../src/log/log.ts'
import { systemClock } from '../../src/ops/clock.ts'
import { rememberingLogger, rememberingMeter } from './context.ts'

const [, , directory = '', prefix = '', count = '0'] = argv
/** Four messages fill a segment. There is room for some that were given up after a failure. */
const SEGMENT_BYTES = 4_096
const MAX_BYTES = 6 * SEGMENT_BYTES
const TEXT_BYTES = 700
/** What stays unsettled behind the newest message. */
const UNSETTLED = 3

// In one call, so that a kill leaves whole lines.
const say = (line: string) => writeSync(1, `${line}\n`)

const fileSystem = nodeFileSystem()
const logger = rememberingLogger()
const log = await openLog({
  directory,
  gateway: 'traced',
  clock: systemClock(),
  logger,
  meter: rememberingMeter(),
  fileSystem,
  tryLock: () => true,
  commitDelayMs: 0,
  maxBytes: MAX_BYTES,
  maxAgeMs: 1e12,
  minFreeBytes: 0,
  // As the gateway does: what the sinks settled before is to be heard first.
  settledWithinMs: 60_000,
  whenFull: 'dropOldest',
  segmentBytes: SEGMENT_BYTES,
})
const cursor = await openCursor({ directory: join(directory, 'cursors'), name: 'sink', fileSystem, logger })
for (let n = 0; n < Number(count); n++) {
  const text = `${prefix}-${n}`
  const payload = Buffer.from(text.padEnd(TEXT_BYTES))
  const sentAt = performance.now()
  const seq = await log.deliver({ topic: `sensors/${n % 2}`, source: 'test', payload, qos: 1, retain: false })
  say(`acked ${seq} ${text} ${Math.round(performance.now() - sentAt)}`)
  if (n % 4 !== 3) continue
  cursor.settle(1, seq - UNSETTLED)
  await cursor.flush().catch((error: unknown) => say(`cursor ${String(error)}`))
  say(`settled ${seq - UNSETTLED}`)
  log.settledUpTo(seq - UNSETTLED)
}
await cursor.close()
await log.close()
say('closed')
exit(0)
