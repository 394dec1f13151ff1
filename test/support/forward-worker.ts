// A forward thread for tests: the real loop on a log in memory of its own, and sinks whose behaviour their configuration says.

import { parentPort, workerData } from 'node:worker_threads'
import type { Batch, Rejection, Sink } from '../../src/core/contract.ts'
import type { ForwardWorkerData } from '../../src/forward/protocol.ts'
import { runForwardThread } from '../../src/forward/worker-loop.ts'
import { rememberingLogger } from './context.ts'
import { decodeNumber, message, realClock } from './forwarding.ts'
import { memoryCursor } from './memory-cursor.ts'
import { memoryLog } from './memory-log.ts'

if (parentPort === null) throw new Error('not a worker thread')

const data = workerData as ForwardWorkerData
const log = memoryLog()
for (let index = 0; index < 1_000; index++) log.append(message('a', String(index)))

const rejectionOf = ({ first, last }: Batch): Rejection => ({
  first,
  last,
  device: 'a',
  reason: 'no',
  body: Buffer.from('x'),
  contentType: 'text/plain',
})

const sinkOf = (behaviour: unknown): Sink => ({
  connect: async () => undefined,
  write: async (batch) => {
    if (behaviour === 'crash') setImmediate(() => process.nextTick(() => JSON.parse('crash')))
    if (behaviour === 'crash' || behaviour === 'hang') await new Promise(() => undefined)
    return { settled: batch.last, rejected: behaviour === 'reject' ? [rejectionOf(batch)] : [] }
  },
  health: () => ({ state: 'ok', since: 0 }),
  close: async () => {
    if (behaviour === 'hang') for (;;);
  },
})

await runForwardThread(parentPort, data, {
  logger: rememberingLogger(),
  clock: realClock,
  loadSink: async (type) => {
    if (type === 'unknown') throw new Error('there is no sink of type unknown')
    return { kind: 'sink', type, schema: {}, create: (config) => sinkOf((config as { behaviour?: string }).behaviour) }
  },
  // What the ingest thread says is durable; here all of it is there from the beginning.
  openReader: (durable) => ({
    read: async (after, limit) => {
      const entries = log.entries.filter(({ seq }) => seq > after && seq <= durable()).slice(0, limit.entries)
      return { entries, gaps: [], next: entries.at(-1)?.seq ?? after }
    },
    close: async () => undefined,
  }),
  openCursor: async () => memoryCursor(),
  createDecoding: () => ({ decode: decodeNumber }),
})
