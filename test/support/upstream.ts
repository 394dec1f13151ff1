// The far end in a test: a queue bound to an exchange of a RabbitMQ node, and what came out of it so far.

import { type Channel, connect } from 'amqplib'
import { Completeness } from '../../src/upstream/completeness.ts'
import { startConsumer } from '../../src/upstream/consumer.ts'
import { type Delivered, readDelivered } from '../../src/upstream/delivered.ts'
import type { Incoming } from '../../src/upstream/incoming.ts'

interface Test {
  teardown(work: () => Promise<void>): void
}

export interface Upstream {
  readonly incoming: Incoming[]
  readonly delivered: Delivered[]
  readonly completeness: Completeness
  /** `device seq` of every reading, in order of arrival. */
  readings(): string[]
  close(): Promise<void>
}

/** Collects what comes out of a queue, from now on. */
export const consumeAll = async (t: Test, url: string, queue: string): Promise<Upstream> => {
  const incoming: Incoming[] = []
  const delivered: Delivered[] = []
  const completeness = new Completeness()
  const consumer = await startConsumer({
    url,
    queue,
    onMessage: (message) => {
      incoming.push(message)
      const what = readDelivered(message)
      delivered.push(what)
      completeness.add(what)
      return 'accepted'
    },
  })
  t.teardown(() => consumer.close())
  return {
    incoming,
    delivered,
    completeness,
    readings: () =>
      delivered.flatMap((what) =>
        what.kind === 'readings' ? what.readings.map(({ device, seq }) => `${device} ${seq}`) : [],
      ),
    close: () => consumer.close(),
  }
}

/** A channel of the test's own, for declarations. */
export const openChannel = async (t: Test, url: string): Promise<Channel> => {
  const model = await connect(url)
  // A node that is stopped ends it; the test does not mind.
  model.on('error', () => undefined)
  t.teardown(async () => {
    await model.close().catch(() => undefined)
  })
  const channel = await model.createChannel()
  channel.on('error', () => undefined)
  return channel
}
