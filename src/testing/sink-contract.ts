// The contract of a sink: it connects and closes in any state, settles batches from the front and never beyond them, and stops
// when it is told to.

import type { Batch, Delivery, Entry, Reading, Seq, Sink } from '../core/contract.ts'
import type { SinkPlugin } from '../core/plugin-contract.ts'
import { type Check, type ContractCheck, runChecks, settlesSoon, soon } from './check.ts'
import { acceptedConfig, checkHealth, checkShape, testContext } from './context.ts'

export interface SinkSubject {
  readonly config: object
  /** How many readings the upstream has received since the test began; absent where the test cannot know. */
  received?(): Promise<number>
}

/** A sink that needs more writes for one batch is not moving. */
const MAX_WRITES = 100

/** Checks that a sink keeps what core/contract.ts promises of it. The upstream must be there. */
export const testSink = (plugin: SinkPlugin, subject: SinkSubject, check: Check): Promise<void> =>
  runChecks(sinkChecks(plugin, subject), check)

const sinkChecks = (plugin: SinkPlugin, subject: SinkSubject): readonly ContractCheck[] => {
  const create = () => plugin.create(acceptedConfig(plugin, subject.config), testContext())
  const within = async (work: (sink: Sink) => Promise<void>) => {
    const sink = create()
    try {
      await work(sink)
    } finally {
      await soon('close()', sink.close())
    }
  }
  const connect = (sink: Sink) => soon('connect()', sink.connect(new AbortController().signal))
  return [
    { name: 'has a kind, a type, a schema and create()', run: async () => checkShape(plugin, 'sink') },
    {
      name: 'it can be closed before it was connected, and twice at once',
      run: async () => {
        await within(async (sink) => {
          checkHealth(sink.health(), 'before connect()')
          await soon('close()', sink.close())
          checkHealth(sink.health(), 'after close()')
        })
        await within(async (sink) => {
          await connect(sink)
          checkHealth(sink.health(), 'while it is connected')
          await soon('close()', Promise.all([sink.close(), sink.close()]))
        })
      },
    },
    {
      name: 'it settles a whole batch, from the front, and the upstream has its readings',
      run: () =>
        within(async (sink) => {
          const before = (await subject.received?.()) ?? 0
          await connect(sink)
          await writeAll(sink, ordinary)
          const expected = ordinary.deliveries.flatMap(({ decoding }) => decoding.readings).length
          const received = (await subject.received?.()) ?? before + expected
          if (received - before < expected)
            throw new Error(`the upstream has ${received - before} readings instead of ${expected}, but all is settled`)
        }),
    },
    {
      name: 'it settles what holds no readings: faults, gaps, loss marks, nothing at all',
      run: () =>
        within(async (sink) => {
          await connect(sink)
          for (const batch of strange) await writeAll(sink, batch)
        }),
    },
    {
      name: 'it can be connected again, as after a failed write',
      run: () =>
        within(async (sink) => {
          await connect(sink)
          await connect(sink)
          await writeAll(sink, ordinary)
        }),
    },
    {
      name: 'an abort ends connect() and write()',
      run: async () => {
        await within((sink) =>
          settlesSoon('connect() with a signal that is aborted', sink.connect(AbortSignal.abort())),
        )
        await within(async (sink) => {
          await connect(sink)
          const controller = new AbortController()
          const writing = sink.write(ordinary, controller.signal, () => undefined)
          controller.abort()
          await settlesSoon('write() after its signal was aborted', writing)
        })
      },
    },
    {
      name: 'after close() it writes nothing',
      run: () =>
        within(async (sink) => {
          await connect(sink)
          await soon('close()', sink.close())
          const wrote = await soon('write() after close()', written(sink, ordinary))
          if (wrote) throw new Error('write() after close() did not reject')
        }),
    },
  ]
}

const written = async (sink: Sink, batch: Batch): Promise<boolean> => {
  try {
    await sink.write(batch, new AbortController().signal, () => undefined)
    return true
  } catch {
    return false // as it should be
  }
}

/** Writes the rest again and again, as the forwarder does. */
const writeAll = async (sink: Sink, batch: Batch): Promise<void> => {
  let settled = batch.first - 1
  for (let writes = 0; settled < batch.last; writes++) {
    if (writes >= MAX_WRITES) throw new Error(`after ${MAX_WRITES} writes only ${settled} of ${batch.last} is settled`)
    const rest = after(batch, settled)
    const moved = (to: Seq, what: string) => {
      if (!Number.isSafeInteger(to)) throw new Error(`${what} is no seq: ${to}`)
      if (to > batch.last) throw new Error(`${what} is ${to}, beyond the end of the batch, ${batch.last}`)
      if (to < settled) throw new Error(`${what} went back from ${settled} to ${to}`)
      settled = to
    }
    const faults: unknown[] = []
    const { settled: to, rejected } = await soon(
      'write()',
      sink.write(rest, new AbortController().signal, (seq) => {
        try {
          moved(seq, 'progress')
        } catch (error) {
          faults.push(error)
        }
      }),
    )
    if (faults.length > 0) throw faults[0]
    moved(to, 'settled')
    for (const { first, last, reason } of rejected)
      if (first < batch.first || last > batch.last || reason === '')
        throw new Error('a rejection names no seqs of the batch')
  }
}

const after = ({ lane, last, deliveries, gaps }: Batch, settled: Seq): Batch => ({
  lane,
  first: settled + 1,
  last,
  deliveries: deliveries.filter(({ entry }) => entry.seq > settled),
  gaps: gaps.filter((gap) => gap.last > settled),
})

const entry = (seq: Seq, kind: Entry['kind'] = 'message'): Entry => ({
  seq,
  kind,
  topic: kind === 'message' ? 'contract/device' : '',
  payload: Buffer.from(String(seq)),
  source: 'contract-test',
  qos: 1,
  retain: false,
  receivedAt: Date.UTC(2026, 10, 20, 10) + seq,
  monotonicMs: 1_000 + seq,
  bootId: '00000000-0000-4000-8000-000000000001',
})

const delivery = (seq: Seq, readings: readonly Reading[], fault?: string): Delivery => ({
  entry: entry(seq),
  decoding: { profile: 'contract', device: 'contract/device', readings, ...(fault === undefined ? {} : { fault }) },
})

const reading = (name: string, value: Reading['value'], more: Partial<Reading> = {}): Reading => ({
  device: 'contract/device',
  name,
  value,
  ...more,
})

const ordinary: Batch = {
  lane: 'fresh',
  first: 10,
  last: 14,
  deliveries: [
    delivery(10, [reading('temperature', 21.5, { unit: 'Cel' }), reading('__proto__', 'text "quoted", ü\n')]),
    delivery(11, [reading('on', true), reading('at', 1, { timeMs: Date.UTC(2026, 0, 1) })]),
    delivery(12, [reading('temperature', -1e-9, { device: 'other/device#' })], 'one value could not be read'),
    delivery(14, [reading('late', 0, { historical: true })]),
  ],
  gaps: [{ first: 13, last: 13, reason: 'retention' }],
}

const strange: readonly Batch[] = [
  {
    lane: 'backlog',
    first: 20,
    last: 22,
    deliveries: [delivery(20, [], 'the payload is binary'), delivery(22, [])],
    gaps: [],
  },
  { lane: 'backlog', first: 30, last: 39, deliveries: [], gaps: [{ first: 30, last: 39, reason: 'corrupt' }] },
  {
    lane: 'fresh',
    first: 40,
    last: 40,
    deliveries: [
      {
        entry: entry(40, 'loss'),
        decoding: { profile: '', device: '', readings: [] },
        mark: { first: 30, last: 39, count: 10, reason: 'corrupt', time: Date.UTC(2026, 10, 20, 10) },
      },
    ],
    gaps: [],
  },
  { lane: 'fresh', first: 50, last: 50, deliveries: [], gaps: [] },
]
