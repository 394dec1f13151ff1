// Opens a log as a gateway does at its start, and says on standard output as JSON what that took. Parameter: data directory.

import { readFileSync } from 'node:fs'
import { argv, exit, stdout } from 'node:process'
import { nodeFileSystem } from '../../src/log/file-system.ts'
import { openLog } from '../../src/log/log.ts'
import { systemClock } from '../../src/ops/clock.ts'
import { rememberingLogger, rememberingMeter } from './context.ts'

const [, , directory = ''] = argv

const figure = (file: string, pattern: RegExp): number => Number(pattern.exec(readFileSync(file, 'utf8'))?.[1])
const readBytes = () => figure('/proc/self/io', /^rchar: (\d+)/m)

const before = readBytes()
const startedAt = performance.now()
const log = await openLog({
  directory,
  gateway: 'greenhouse',
  clock: systemClock(),
  logger: rememberingLogger(),
  meter: rememberingMeter(),
  fileSystem: nodeFileSystem(),
  tryLock: () => true,
  commitDelayMs: 0,
  maxBytes: 8 * 2 ** 30,
  maxAgeMs: 1e12,
  minFreeBytes: 0,
  whenFull: 'dropOldest',
  settledWithinMs: 60_000,
})
const tookMs = performance.now() - startedAt
const figures = {
  logBytes: log.info().bytes,
  segments: log.info().segments,
  readBytes: readBytes() - before,
  peakBytes: figure('/proc/self/status', /^VmHWM:\s+(\d+) kB/m) * 1_024,
  tookMs,
}
stdout.write(`${JSON.stringify(figures)}\n`)
// Not closed: the next one finds an unclean stop, and has something to repair.
exit(0)
