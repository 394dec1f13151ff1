// The log without anything around it: how many messages a second become durable with group commit, beside a plain file in the
// same directory that is given the same bytes in pieces of the same size, each followed by an fdatasync.

import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Seq } from '../../src/core/contract.ts'
import type { Log } from '../../src/core/log-contract.ts'
import { nodeFileSystem } from '../../src/log/file-system.ts'
import { openLog } from '../../src/log/log.ts'
import { systemClock } from '../../src/ops/clock.ts'
import { tryLock } from '../../src/ops/libc.ts'
import { rememberingLogger, rememberingMeter } from '../support/context.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { line, MIB, quick, scope, spread, whole } from './report.ts'

const ROUNDS = quick ? 3 : 7
const MESSAGES = quick ? 500_000 : 1_500_000
const PAYLOAD_BYTES = 200
const TOPICS = 20
const LOG_BYTES = 256 * MIB
/** The log's own commits may be twice as large; a plain writer is no faster with more than this. */
const MAX_PIECE_BYTES = MIB
/** Appends in one turn of the event loop: as many as a busy turn of the broker brings. */
const TURN_MESSAGES = 1_024

export const openBenchLog = (directory: string, more: { maxBytes: number; commitDelayMs: number; gateway: string }) =>
  openLog({
    directory,
    clock: systemClock(),
    logger: rememberingLogger(),
    meter: rememberingMeter(),
    fileSystem: nodeFileSystem(),
    tryLock,
    maxAgeMs: 30 * 86_400_000,
    minFreeBytes: 0,
    whenFull: 'dropOldest',
    ...more,
  })

/** Resolves when the last one is durable. */
const appendAll = async (log: Log): Promise<void> => {
  const payload = Buffer.alloc(PAYLOAD_BYTES, 'x')
  const messages = Array.from({ length: TOPICS }, (_, index) => {
    return { topic: `bench/${index}`, payload, source: 'bench', qos: 1, retain: false } as const
  })
  let durable = 0
  let failure: Error | undefined
  let done = (): void => undefined
  const allDurable = new Promise<void>((resolve) => {
    done = resolve
  })
  const settled = (error: Error | undefined, _seq: Seq): void => {
    failure ??= error
    if (++durable === MESSAGES) done()
  }
  for (let sent = 0; sent < MESSAGES; sent++) {
    const message = messages[sent % TOPICS]
    if (message === undefined) break
    if (!log.append(message, settled)) await log.ready()
    else if (sent % TURN_MESSAGES === 0) await nextTurn()
  }
  await allDurable
  if (failure !== undefined) throw failure
}

const appendPlainly = async (path: string, bytes: number, pieceBytes: number): Promise<void> => {
  const piece = Buffer.alloc(pieceBytes, 'x')
  const file = await open(path, 'w')
  try {
    for (let at = 0; at < bytes; at += pieceBytes) {
      await file.write(piece, 0, pieceBytes, at)
      await file.datasync()
    }
  } finally {
    await file.close()
  }
}

const timed = async (work: () => Promise<void>): Promise<number> => {
  const startedAt = performance.now()
  await work()
  return performance.now() - startedAt
}

export const benchLogAlone = async (): Promise<void> => {
  const directory = await temporaryDirectory(scope)
  const log = await openBenchLog(directory, { maxBytes: LOG_BYTES, commitDelayMs: 10, gateway: 'bench' })
  scope.teardown(() => log.close())
  const ours: number[] = []
  const plain: number[] = []
  const ratios: number[] = []
  const pieces: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const before = log.info()
    const logMs = await timed(() => appendAll(log))
    const after = log.info()
    const bytes = after.writtenBytes - before.writtenBytes
    const pieceBytes = Math.min(MAX_PIECE_BYTES, Math.round(bytes / (after.commits - before.commits)))
    const plainMs = await timed(() => appendPlainly(join(directory, 'plain'), bytes, pieceBytes))
    ours.push((MESSAGES / logMs) * 1_000)
    plain.push((MESSAGES / plainMs) * 1_000)
    ratios.push(plainMs / logMs)
    pieces.push(pieceBytes)
  }
  await log.close()
  console.log(`\nThe log alone, until durable: ${whole(MESSAGES)} messages of ${PAYLOAD_BYTES} B`)
  line('  log, messages/s', spread(ours, whole))
  line('  the same bytes plainly appended', spread(plain, whole))
  line(
    '  ratio',
    spread(ratios, (value) => value.toFixed(3)),
  )
  line(
    '  plainly, KiB for each fdatasync',
    spread(pieces, (value) => whole(value / 1024)),
  )
}
