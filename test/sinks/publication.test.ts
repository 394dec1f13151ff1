import { test } from 'tap'
import type { Batch, Seq } from '../../src/core/contract.ts'
import type { Outgoing } from '../../src/sinks/outgoing.ts'
import { type Posting, Publication, type PublicationOptions } from '../../src/sinks/publication.ts'
import { until } from '../support/until.ts'

const outgoing = (first: Seq, more: Partial<Outgoing> = {}): Outgoing => ({
  kind: 'readings',
  device: 'a',
  lane: 'fresh',
  first,
  last: first,
  seqs: [first],
  count: 1,
  part: 0,
  timeMs: 0,
  contentType: '',
  body: Buffer.from('x'),
  ...more,
})

const batch = (last: Seq): Batch => ({ lane: 'fresh', first: 1, last, deliveries: [], gaps: [] })

const publish = (messages: readonly Outgoing[], last: Seq, more: Partial<PublicationOptions> = {}) => {
  const sent: Posting[] = []
  const progress: Seq[] = []
  const trouble: (string | undefined)[] = []
  const publication = new Publication({
    batch: batch(last),
    messages,
    send: (posting) => void sent.push(posting),
    writable: () => true,
    progress: (settled) => void progress.push(settled),
    trouble: (reason) => void trouble.push(reason),
    retried: () => undefined,
    ...more,
  })
  const at = (index: number): Posting => {
    const posting = sent[index]
    if (posting === undefined) throw new Error(`nothing was sent as number ${index}`)
    return posting
  }
  return { publication, sent, progress, trouble, at }
}

const never = new AbortController().signal

test('the settled prefix grows to what stands before the first open message', async (t) => {
  const { publication, progress, at } = publish([outgoing(2), outgoing(4), outgoing(7)], 9)
  const done = publication.run(never)
  publication.confirmed(at(1))
  publication.confirmed(at(0))
  publication.confirmed(at(2))
  t.same(await done, { settled: 9, rejected: [] })
  t.same(progress, [1, 6, 9])
})

test('a batch without messages is settled at once', async (t) => {
  const { publication } = publish([], 9)
  t.same(await publication.run(never), { settled: 9, rejected: [] })
})

test('only so many messages are in flight', async (t) => {
  const messages = Array.from({ length: 10 }, (_, index) => outgoing(index + 1))
  const { publication, sent, at } = publish(messages, 10, { maxInFlight: 3 })
  const done = publication.run(never)
  for (let index = 0; index < 10; index++) {
    t.ok(sent.length <= index + 3)
    publication.confirmed(at(index))
  }
  await done
})

test('nothing is sent while the upstream is not writable', async (t) => {
  let writable = false
  const { publication, sent, at } = publish([outgoing(1)], 1, { writable: () => writable })
  const done = publication.run(never)
  t.equal(sent.length, 0)
  writable = true
  publication.pump()
  publication.confirmed(at(0))
  await done
})

test('a refused message is sent again before anything new, in order', async (t) => {
  const messages = Array.from({ length: 5 }, (_, index) => outgoing(index + 1))
  const { publication, sent, trouble, at } = publish(messages, 5, { maxInFlight: 3 })
  const done = publication.run(never)
  publication.refused(at(2), 'no queue')
  publication.refused(at(1), 'no queue')
  publication.confirmed(at(0))
  t.equal(sent.length, 3, 'nothing new meanwhile')
  await until('they are sent again', () => sent.length >= 5)
  t.same(
    sent.slice(3).map(({ message }) => message.first),
    [2, 3, 4],
  )
  t.same(trouble, ['no queue', 'no queue'])
  for (const index of [3, 4]) publication.confirmed(at(index))
  t.same(trouble.at(-1), undefined, 'over')
  publication.confirmed(at(5))
  publication.confirmed(at(6))
  t.same(await done, { settled: 5, rejected: [] })
})

test('a rejected message holds the progress back until the end', async (t) => {
  const { publication, progress, at } = publish([outgoing(1), outgoing(2), outgoing(3)], 3)
  const done = publication.run(never)
  publication.rejected(at(1), 'too large')
  publication.confirmed(at(0))
  publication.confirmed(at(2))
  t.ok(progress.every((settled) => settled <= 1))
  t.match(await done, { settled: 3, rejected: [{ first: 2, device: 'a', reason: 'too large' }] })
})

test('a failure or an abort ends it; what is heard afterwards is ignored', async (t) => {
  const failing = publish([outgoing(1)], 1)
  const failed = failing.publication.run(never)
  failing.publication.fail(new Error('reset'))
  failing.publication.confirmed(failing.at(0))
  await t.rejects(failed, { message: 'reset' })

  const abort = new AbortController()
  const aborting = publish([outgoing(1)], 1)
  const aborted = aborting.publication.run(abort.signal)
  abort.abort(new Error('enough'))
  await t.rejects(aborted, { message: 'enough' })
  await t.rejects(publish([outgoing(1)], 1).publication.run(abort.signal), { message: 'enough' })
})
