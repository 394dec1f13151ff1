// A process of its own that appends to a log as fast as it is acknowledged, and says on standard output what was: lines of
// `seq text`. Made to be killed. Parameters: data directory, prefix of the texts,
// size of the log.

import process, { argv, exit, stdout } from 'node:process'
import { nodeFileSystem } from '../../src/log/file-system.ts'
import { openLog } from '../../src/log/log.ts'
import { systemClock } from '../../src/ops/clock.ts'
import { tryLock } from '../../src/ops/libc.ts'
import { rememberingLogger, rememberingMeter } from './context.ts'

const [, , directory = '', prefix = '', maxBytes = `${2 ** 30}`] = argv
/** In flight at once, from as many senders. */
const SENDERS = 20
/** A process that is forgotten ends by itself. */
const MAX_MESSAGES = 200_000

process.once('disconnect', () => exit(1))

const log = await openLog({
  directory,
  gateway: 'killed',
  clock: systemClock(),
  logger: rememberingLogger(),
  meter: rememberingMeter(),
  fileSystem: nodeFileSystem(),
  tryLock,
  commitDelayMs: 1,
  maxBytes: Number(maxBytes),
  maxAgeMs: 1e12,
  minFreeBytes: 0,
  whenFull: 'dropOldest',
  segmentBytes: 65_536,
})
let number = 0
const send = async () => {
  while (number < MAX_MESSAGES) {
    const text = `${prefix}-${number++}`
    const payload = Buffer.from(text.padEnd(100))
    const seq = await log.deliver({ topic: `sensors/${number % 7}`, source: 'test', payload, qos: 1, retain: false })
    stdout.write(`${seq} ${text}\n`)
  }
}
await Promise.all(Array.from({ length: SENDERS }, send))
exit(0)
