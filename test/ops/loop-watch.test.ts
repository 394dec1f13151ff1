import { test } from 'tap'
import type { Entry } from '../../src/core/contract.ts'
import { type Loop, LoopWatch } from '../../src/ops/loop-watch.ts'

let seq = 0
const entry = (source: string, topic: string, payload: string, monotonicMs = 0): Entry => ({
  seq: ++seq,
  kind: 'message',
  topic,
  payload: Buffer.from(payload),
  source,
  qos: 1,
  retain: false,
  receivedAt: 0,
  monotonicMs,
  bootId: 'x',
})

const watch = (...clients: readonly string[]) => {
  const told: Loop[] = []
  return { told, loops: new LoopWatch({ clients: new Set(clients), onLoop: (loop) => void told.push(loop) }) }
}

test('messages that come through the broker and through a client are a loop, told once', async (t) => {
  for (const order of [
    ['broker', 'house'],
    ['house', 'broker'],
  ]) {
    const { told, loops } = watch('house')
    for (let index = 0; index < 100; index++)
      loops.observe(order.map((source) => entry(source, 'a/b', `${index}`, index * 100)))
    t.strictSame(told, [{ source: 'house', other: 'broker', topic: 'a/b' }])
    t.match(loops.loopOf('house'), { other: 'broker' })
  }
})

test('two sensors that say the same now and then are no loop', async (t) => {
  const { told, loops } = watch('house')
  for (let index = 0; index < 1_000; index++) {
    loops.observe([entry('house', 'hall/temperature', `${index}`, index * 100)])
    if (index % 10 === 0) loops.observe([entry('broker', 'hall/temperature', `${index}`, index * 100)])
  }
  t.strictSame(told, [])
})

test('the same value again through one source, or much later through another, is no loop', async (t) => {
  const { told, loops } = watch('house')
  for (let index = 0; index < 500; index++) {
    loops.observe([entry('house', 'x', '1', index * 100), entry('house', 'x', '1', index * 100)])
    loops.observe([entry('broker', 'y', `${index}`, index), entry('house', 'y', `${index}`, index + 6_000)])
  }
  t.strictSame(told, [])
})

test('a loop that has been cut is over, and told again when it comes back', async (t) => {
  const { told, loops } = watch('house')
  const twice = (count: number) => {
    for (let index = 0; index < count; index++) {
      const payload = `${Math.random()}`
      loops.observe([entry('broker', 'a', payload), entry('house', 'a', payload)])
    }
  }
  twice(50)
  for (let index = 0; index < 100; index++) loops.observe([entry('house', 'a', `own ${index}`)])
  t.equal(loops.loopOf('house'), undefined)
  twice(50)
  t.equal(told.length, 2)
})

test('a loop is found among many other messages', async (t) => {
  const { told, loops } = watch('house')
  for (let index = 0; index < 20_000; index++) {
    loops.observe([entry('broker', `t/${index % 50}`, `${index}`, index / 10)])
    if (index % 4 === 0) loops.observe([entry('house', `t/${index % 50}`, `${index}`, index / 10)])
  }
  t.equal(told.length, 1)
})
