import fc from 'fast-check'
import { test } from 'tap'
import { Completeness } from '../../src/upstream/completeness.ts'
import type { Delivered } from '../../src/upstream/delivered.ts'
import { RangeSet } from '../../src/upstream/range-set.ts'
import { reportText } from '../../src/upstream/report-text.ts'

const readings = (
  seqs: readonly number[],
  more: Partial<Extract<Delivered, { kind: 'readings' }>> = {},
): Delivered => ({
  kind: 'readings',
  gateway: 'g',
  lane: 'fresh',
  device: 'a',
  part: 0,
  first: seqs[0] ?? 0,
  readings: seqs.map((seq) => ({ seq, device: more.device ?? 'a', name: 'v', value: 1 })),
  ...more,
})

const loss = (first: number, last: number, reason = 'retention', count = last - first + 1): Delivered => ({
  kind: 'loss',
  gateway: 'g',
  marks: [{ first, last, count, reason }],
})

const reportOf = (...delivered: Delivered[]) => {
  const completeness = new Completeness()
  for (const item of delivered) completeness.add(item)
  return completeness.report()
}

test('seqs of several devices and batches complete each other', async (t) => {
  const report = reportOf(readings([5, 7]), readings([6, 8], { device: 'b' }), readings([9]))
  t.match(report, {
    complete: true,
    gateways: [{ gateway: 'g', first: 5, last: 9, arrived: 5, messages: 3, readings: 5, gaps: [] }],
  })
  t.match(reportText(report), /^complete: every seq is accounted for\ng: seq 5 to 9, 5 arrived/)
})

test('a gap is named; a loss mark explains it, whether it comes before or after', async (t) => {
  t.match(reportOf(readings([1, 2, 5])), { complete: false, gateways: [{ missing: 2, gaps: [{ first: 3, last: 4 }] }] })
  t.match(reportText(reportOf(readings([1, 5]))), /^NOT complete[\s\S]*gap: seq 2 to 4/)
  t.match(reportOf(readings([1, 2, 5]), loss(3, 4)), { complete: true, gateways: [{ explained: { retention: 2 } }] })
  t.match(reportOf(loss(3, 4), loss(3, 4), readings([1, 2, 5])), {
    complete: true,
    gateways: [{ explained: { retention: 2 } }],
  })
  t.match(reportOf(readings([1]), loss(2, 3, 'filtered')), { complete: true, gateways: [{ last: 3 }] })
})

const mark = (first: number, last: number, count: number, reason: string, seq: number): Delivered => ({
  kind: 'loss',
  gateway: 'g',
  marks: [
    { first, last, count, reason, seq, devices: { a: count } },
    { first: seq, last: seq, count: 0, reason: 'mark' },
  ],
})

test('a mark about part of a range explains as many seqs as it counts, and no more', async (t) => {
  const rejected = mark(2, 8, 3, 'rejected', 9)
  t.match(reportOf(readings([1, 3, 4, 6, 7]), rejected), {
    complete: true,
    gateways: [{ missing: 0, explained: { rejected: 3, mark: 1 }, lost: { rejected: 3 } }],
  })
  t.match(
    reportOf(rejected, readings([1, 3, 4, 6, 7])),
    { complete: true, gateways: [{ missing: 0, explained: { rejected: 3 } }] },
    'before the hole',
  )
  t.match(
    reportOf(readings([1, 3, 4]), rejected),
    { complete: false, gateways: [{ missing: 2, gaps: [{ first: 7, last: 8 }], explained: { rejected: 3 } }] },
    'two more are missing than were rejected',
  )
  t.match(reportOf(readings([1, 3, 4]), rejected, mark(5, 8, 2, 'thinned', 10)), {
    complete: true,
    gateways: [{ explained: { rejected: 3, thinned: 2, mark: 2 } }],
  })
})

test('overlapping marks, and the same mark again, explain and count once', async (t) => {
  const retention = mark(1, 10, 9, 'retention', 12)
  const report = reportOf(retention, loss(1, 10), retention, readings([11, 5]), mark(4, 6, 2, 'corrupt', 13))
  t.match(report, {
    complete: true,
    gateways: [
      {
        first: 1,
        last: 13,
        arrived: 2,
        explained: { retention: 9, mark: 2 },
        lost: { retention: 9, corrupt: 2 },
        lostDevices: { a: 11 },
      },
    ],
  })
  t.match(
    reportText(report),
    /explained by loss marks: retention 9, mark 2\n {2}messages lost, as the gateway's log says: retention 9, corrupt 2\n {2}of these devices: a 11/,
  )
})

test('a mark about part of a range that comes again explains no second hole', async (t) => {
  const rejected = mark(2, 8, 3, 'rejected', 9)
  const note = loss(2, 8, 'thinned', 3)
  for (const [name, again] of [
    ['of the log', [rejected, rejected]],
    ['of a sink', [note, note]],
    ['of a sink and of the log', [note, mark(2, 8, 3, 'thinned', 9)]],
  ] as const)
    t.match(
      reportOf(readings([1, 3, 4, 9]), ...again),
      { complete: false, gateways: [{ missing: 2, gaps: [{ first: 7, last: 8 }] }] },
      name,
    )
})

test('a mark about seqs from before the receiver listened opens no hole', async (t) => {
  t.match(reportOf(readings([500, 501]), mark(1, 40, 40, 'retention', 502)), {
    complete: true,
    gateways: [{ first: 500, last: 502, missing: 0, lost: { retention: 40 } }],
  })
})

test('messages that were refused never had a seq: they are counted and explain nothing', async (t) => {
  t.match(reportOf(readings([1, 2, 4]), mark(3, 2, 77, 'refused', 5)), {
    complete: false,
    gateways: [{ missing: 1, lost: { refused: 77 } }],
  })
})

test('what a gateway wrote cannot drive a terminal', async (t) => {
  const odd = { first: 1, last: 1, count: 1, reason: '\u001b[2J', seq: 2, devices: { 'a\nb': 1 } }
  const text = reportText(reportOf({ kind: 'loss', gateway: 'g\u0007', marks: [odd] }, readings([1, 2])))
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  t.notMatch(text.replaceAll('\n', ''), /[\u0000-\u001f]/)
})

test('the same seq of the same device is a duplicate; of another device, or another part, it is not', async (t) => {
  t.match(reportOf(readings([1, 2]), readings([2, 3])), { gateways: [{ duplicates: 1, reordered: 0 }] })
  t.match(reportOf(readings([1]), readings([1], { device: 'b' })), { gateways: [{ duplicates: 0, arrived: 1 }] })
  t.match(reportOf(readings([1]), readings([1, 2], { part: 1 })), { gateways: [{ duplicates: 0 }] })
  t.match(reportOf(readings([1, 1, 1])), { gateways: [{ duplicates: 0, readings: 3 }] })
})

test('out of order counts within a device and a lane, first arrivals only', async (t) => {
  t.match(reportOf(readings([3]), readings([1, 2])), { gateways: [{ reordered: 2 }] })
  t.match(reportOf(readings([3]), readings([1, 2], { lane: 'backlog' })), { gateways: [{ reordered: 0 }] })
  t.match(reportOf(readings([3]), readings([1, 2], { device: 'b' })), { gateways: [{ reordered: 0 }] })
  t.match(reportOf(readings([1, 2]), readings([1, 2])), { gateways: [{ reordered: 0, duplicates: 2 }] })
})

test('gateways are kept apart, and messages of somebody else are only counted', async (t) => {
  const report = reportOf(readings([1, 3]), readings([1, 2], { gateway: 'f' }), { kind: 'foreign', reason: 'x' })
  t.match(report, {
    complete: false,
    foreign: 1,
    gateways: [
      { gateway: 'f', missing: 0 },
      { gateway: 'g', missing: 1 },
    ],
  })
  t.match(reportOf(), { complete: true, gateways: [] })
})

test('300,000 seqs of interleaved devices take little memory', async (t) => {
  const completeness = new Completeness()
  for (let seq = 1; seq <= 300_000; seq += 1_000)
    for (let device = 0; device < 10; device++)
      completeness.add(
        readings(
          Array.from({ length: 100 }, (_, index) => seq + index * 10 + device),
          { device: `d${device}` },
        ),
      )
  t.match(completeness.report(), { complete: true, gateways: [{ arrived: 300_000, duplicates: 0, reordered: 0 }] })
})

test('a range set is the set of what was added', async (t) => {
  const ranges = fc.array(fc.tuple(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 0, max: 12 })), { maxLength: 40 })
  fc.assert(
    fc.property(ranges, (list) => {
      const set = new RangeSet()
      const model = new Set<number>()
      for (const [first, length] of list) {
        let fresh = 0
        for (let seq = first; seq <= first + length; seq++) {
          if (!model.has(seq)) fresh++
          model.add(seq)
        }
        if (set.add(first, first + length) !== fresh) return false
      }
      for (let seq = 0; seq <= 80; seq++) if (set.has(seq) !== model.has(seq)) return false
      const holes = new Set(
        set
          .holes(5, 70)
          .flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, index) => first + index)),
      )
      for (let seq = 5; seq <= 70; seq++) if (holes.has(seq) === model.has(seq)) return false
      return set.ranges.every((range, index) => index === 0 || range.first > (set.ranges[index - 1]?.last ?? 0) + 1)
    }),
  )
  t.pass('held for all')
})

test('beyond its bound a range set gives up the oldest holes, and says how many seqs they had', async (t) => {
  const set = new RangeSet(3)
  for (const seq of [1, 3, 5, 8]) set.add(seq, seq)
  t.equal(set.ranges.length, 3)
  t.equal(set.forgotten, 1)
  const completeness = new Completeness()
  for (let seq = 1; seq < 104_000; seq += 2) completeness.add(readings([seq]))
  t.match(completeness.report(), { complete: false, gateways: [{ arrived: 52_000, missing: 51_999 }] })
})
