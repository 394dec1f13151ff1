import { type Test, test } from 'tap'
import {
  answering,
  bursts,
  type Client,
  every,
  type ModelOptions,
  modelCommits,
  poisson,
} from '../support/commit-model.ts'

const DELAYS = [10, 100, 1_000] as const
/** A turn of the event loop, and a timer that fires a millisecond late. */
const SLACK_MS = 1.1

/** The figures by the second; no wait may be longer than the delay. */
const perSecond = (t: Test, options: ModelOptions, measureFromMs = 0) => {
  const modelled = modelCommits(options, measureFromMs)
  const { commitDelayMs, syncMs = 1, untilMs } = options
  t.ok(
    modelled.longestWaitMs <= Math.max(commitDelayMs, syncMs) + SLACK_MS,
    `no wait is longer than ${commitDelayMs} ms: ${modelled.longestWaitMs.toFixed(1)}`,
  )
  const seconds = (untilMs - measureFromMs) / 1_000
  return {
    commits: modelled.commits / seconds,
    messages: modelled.messages / seconds,
    answered: modelled.answered / seconds,
    meanWaitMs: modelled.meanWaitMs,
  }
}

/** So many clients that send again a moment after each PUBACK. */
const loops = (count: number, afterMs = 0.3): readonly Client[] =>
  Array.from({ length: count }, (_, index) => answering(afterMs, index + 1))

test('one client that waits for each PUBACK is not made to wait, whatever the delay', async (t) => {
  for (const commitDelayMs of DELAYS) {
    const { answered } = perSecond(t, { commitDelayMs, untilMs: 40_000, loops: loops(1) }, 10_000)
    // One sync of 1 ms and 0.3 ms of its own would be 757.
    t.ok(answered > 650, `${answered.toFixed(0)} a second with ${commitDelayMs} ms`)
  }
})

test('one client learns in a few waits that it is alone', async (t) => {
  for (const commitDelayMs of DELAYS) {
    const { answered } = modelCommits({ commitDelayMs, untilMs: 20 * commitDelayMs, loops: loops(1) })
    t.ok(answered > 0.5 * 20 * commitDelayMs * 0.757, `${answered} in twenty delays of ${commitDelayMs} ms`)
  }
})

test('a client that thinks before it sends again is not held up either', async (t) => {
  const { answered } = perSecond(t, { commitDelayMs: 100, untilMs: 60_000, loops: loops(1, 100) })
  t.ok(answered > 9.5, `${answered.toFixed(2)} a second`)
})

test('on a slow card one client waits for the card alone', async (t) => {
  const { answered } = perSecond(t, { commitDelayMs: 100, syncMs: 20, untilMs: 30_000, loops: loops(1) })
  t.ok(answered > 47, `${answered.toFixed(1)} a second`)
})

test('500 clients with a message each share one sync, which does not wait for the rest of the delay', async (t) => {
  for (const commitDelayMs of DELAYS) {
    const options = { commitDelayMs, untilMs: 30_000, loops: loops(500, 2) }
    const { answered, commits } = perSecond(t, options, 10_000)
    t.ok(answered > 80_000, `${answered.toFixed(0)} a second with ${commitDelayMs} ms`)
    t.ok(answered / commits > 400, `${(answered / commits).toFixed(0)} for each sync`)
  }
})

test('a few clients that wait share syncs rather than take turns at them', async (t) => {
  const { answered, commits } = perSecond(t, { commitDelayMs: 10, syncMs: 5, untilMs: 20_000, loops: loops(20) })
  t.ok(answered / commits > 9, `${(answered / commits).toFixed(1)} for each sync`)
  t.ok(answered > 1_900, `${answered.toFixed(0)} a second`)
})

test('a sync that takes long is no silence of those who wait for it', async (t) => {
  const { answered } = perSecond(t, { commitDelayMs: 100, syncMs: 20, untilMs: 60_000, loops: loops(20) })
  t.ok(answered > 860, `${answered.toFixed(0)} a second`)
})

test('messages that come seldom never wait', async (t) => {
  for (const commitDelayMs of DELAYS) {
    const { meanWaitMs } = perSecond(t, { commitDelayMs, untilMs: 600_000, streams: [every(5_000)] })
    t.ok(meanWaitMs < 0.1, `${meanWaitMs} ms`)
  }
})

test('10 messages a second wait for each other as long as the delay lets them, at even and at random times', async (t) => {
  for (const client of [every(100), poisson(100, 7)]) {
    const streams = [client]
    const long = perSecond(t, { commitDelayMs: 1_000, untilMs: 120_000, streams }, 5_000)
    t.ok(long.commits < 1.1, `${long.commits.toFixed(2)} commits a second with 1 s`)
  }
  const even = perSecond(t, { commitDelayMs: 100, untilMs: 120_000, streams: [every(100)] }, 5_000)
  t.ok(even.commits < 6, `${even.commits.toFixed(2)} commits a second with 100 ms, even`)
  const random = perSecond(t, { commitDelayMs: 100, untilMs: 120_000, streams: [poisson(100, 8)] }, 5_000)
  t.ok(random.commits < 7, `${random.commits.toFixed(2)} commits a second with 100 ms, random`)
})

test('10 messages a second do not wait 10 ms for company that comes once in ten waits', async (t) => {
  for (const client of [every(100), poisson(100, 9)]) {
    const { meanWaitMs } = perSecond(t, { commitDelayMs: 10, untilMs: 120_000, streams: [client] })
    t.ok(meanWaitMs < 1, `${meanWaitMs.toFixed(2)} ms`)
  }
})

test('a dense stream fills every delay', async (t) => {
  const { commits } = perSecond(t, { commitDelayMs: 10, untilMs: 20_000, streams: [poisson(0.5, 3)] })
  t.ok(commits < 100, `${commits.toFixed(1)} commits a second`)
})

test('a burst shares one sync, and does not wait to the end when nobody else comes', async (t) => {
  const options = { commitDelayMs: 100, untilMs: 120_000, streams: bursts(10, 1_000, 2) }
  const { commits, meanWaitMs } = perSecond(t, options, 10_000)
  t.ok(commits < 1.1, `${commits.toFixed(2)} commits a second`)
  t.ok(meanWaitMs < 40, `${meanWaitMs.toFixed(1)} ms`)
})

test('bursts that follow each other within the delay share one sync', async (t) => {
  const options = { commitDelayMs: 1_000, untilMs: 120_000, streams: bursts(10, 100, 2) }
  const { commits } = perSecond(t, options, 10_000)
  t.ok(commits < 1.2, `${commits.toFixed(2)} commits a second`)
})

test('a client that waits for each PUBACK is not slowed down by sensors beside it that seldom share its delay', async (t) => {
  const options = { commitDelayMs: 10, untilMs: 30_000, loops: loops(1), streams: [poisson(100, 5)] }
  const { answered, messages } = perSecond(t, options)
  t.ok(answered > 700, `${answered.toFixed(0)} a second`)
  t.ok(messages - answered > 9, 'and the sensors get through')
})

test('many clients that wait are not held for the sake of a few sensors', async (t) => {
  for (const commitDelayMs of DELAYS) {
    const streams = [poisson(100, 5)]
    const { answered } = perSecond(t, { commitDelayMs, untilMs: 30_000, loops: loops(500, 2), streams }, 10_000)
    t.ok(answered > 80_000, `${answered.toFixed(0)} a second with ${commitDelayMs} ms`)
  }
})

test('when a client goes and sensors come, these are grouped within seconds', async (t) => {
  for (const loop of [1, 500]) {
    const clients = Array.from({ length: loop }, (_, index) => answering(0.3, index, 0, 20_000))
    const options = { commitDelayMs: 1_000, untilMs: 40_000, loops: clients, streams: [every(100, 20_000)] }
    const { commits } = perSecond(t, options, 25_000)
    t.ok(commits < 1.2, `${commits.toFixed(2)} commits a second after ${loop}`)
  }
})

test('when sensors go and a client comes that waits for each PUBACK, it is fast within seconds', async (t) => {
  const streams = [every(100, 0, 20_000)]
  const options = { commitDelayMs: 1_000, untilMs: 40_000, loops: [answering(0.3, 1, 20_000)], streams }
  const { answered } = perSecond(t, options, 27_000)
  t.ok(answered > 600, `${answered.toFixed(0)} a second`)
})

test('without a delay nothing waits', async (t) => {
  const options = { commitDelayMs: 0, untilMs: 5_000, loops: loops(20), streams: [poisson(1, 1)] }
  const { longestWaitMs } = modelCommits(options)
  // For the sync that is under way, and a turn.
  t.ok(longestWaitMs < 1.1, `${longestWaitMs.toFixed(2)} ms`)
})
