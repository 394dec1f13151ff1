import { Duplex } from 'node:stream'
import { type Test, test } from 'tap'
import { Connection } from '../../../src/sources/mqtt-broker/connection.ts'
import { MAX_FILTER_BYTES } from '../../../src/sources/mqtt-broker/limits.ts'
import { Sessions } from '../../../src/sources/mqtt-broker/sessions.ts'
import { rememberingMeter } from '../../support/context.ts'

const connection = (t: Test): Connection => {
  const transport = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() })
  const events = {
    connected: () => undefined,
    refused: () => undefined,
    handshakeBytes: () => undefined,
    mayProceed: () => true,
    drained: () => undefined,
  }
  const options = { maxPacketBytes: 1_000, connectTimeoutMs: 10_000, peer: 'test' }
  const made = new Connection(transport, options, events)
  t.teardown(() => {
    made.destroy()
    transport.destroy()
  })
  return made
}

const publication = (payload = 'x') => ({ topic: 'a', payload: Buffer.from(payload), qos: 1 as const, retain: false })

test('of the absent sessions the one that left first goes', (t) => {
  const meter = rememberingMeter()
  const sessions = new Sessions('broker', meter, 2)
  const [one, two, three] = ['one', 'two', 'three'].map((clientId) => {
    const conn = connection(t)
    const { session } = sessions.open(clientId, false, conn)
    sessions.subscribe(session, 'a', 1)
    return { session, conn }
  })
  for (const gone of [two, one, three]) if (gone !== undefined) sessions.leave(gone.session, gone.conn)
  t.strictSame(
    sessions.stored().map(({ clientId }) => clientId),
    ['one', 'three'],
  )
  t.equal(sessions.subscriptionCount, 2)
  t.equal(meter.values.get('mqtt_sessions_dropped_total{source=broker}'), 1)
  t.end()
})

test('the queues of all sessions together are bounded', (t) => {
  const meter = rememberingMeter()
  const sessions = new Sessions('broker', meter)
  for (let index = 0; index < 20; index++) sessions.restore({ clientId: `session ${index}`, filters: [['a', 1]] })
  const large = publication('x'.repeat(1_000_000))
  // 20 sessions would hold 4 messages of 1 MB each; 32 MiB hold 33 of them.
  for (let count = 0; count < 4; count++) t.equal(sessions.publish(large), 20)
  t.equal(meter.values.get('mqtt_offline_dropped_total{source=broker}'), 80 - 33)
  t.end()
})

test('a connection that was taken over has no say in the session any more', (t) => {
  const sessions = new Sessions('broker', rememberingMeter())
  const [old, successor] = [connection(t), connection(t)]
  const first = sessions.open('same', false, old)
  const second = sessions.open('same', false, successor)
  t.equal(first.session, second.session)
  t.ok(second.present)
  sessions.leave(first.session, old)
  t.equal(first.session.connection, successor)
  t.equal(sessions.open('same', true, old).present, false)
  t.equal(first.session.connection, undefined)
  sessions.leave(first.session, successor)
  t.equal(sessions.size, 1)
  t.end()
})

test('changes of persistent sessions are told from those of clean ones', (t) => {
  const sessions = new Sessions('broker', rememberingMeter())
  const clean = sessions.open('clean', true, connection(t)).session
  sessions.subscribe(clean, 'a', 1)
  t.equal(sessions.changes, 0)
  const kept = sessions.open('kept', false, connection(t)).session
  const before = sessions.changes
  sessions.subscribe(kept, 'a', 1)
  t.ok(sessions.changes > before)
  const subscribed = sessions.changes
  sessions.subscribe(kept, 'a', 1)
  t.equal(sessions.changes, subscribed, 'the same subscription again')
  t.end()
})

test('the subscriptions of all sessions together are bounded in bytes, however long or alike their filters', (t) => {
  for (const filterOf of [(index: number) => `${index}/`.padEnd(60_000, 'x'), (index: number) => `${index % 1_000}`]) {
    const sessions = new Sessions('broker', rememberingMeter())
    let granted = 0
    let { session } = sessions.open('client 0', false, connection(t))
    for (let index = 0; index < 200_000; index++) {
      if (index % 1_000 === 0) session = sessions.open(`client ${index / 1_000}`, false, connection(t)).session
      if (!sessions.subscribe(session, filterOf(index), 1)) break
      granted++
    }
    t.ok(granted >= 100 && granted < 150_000, `${granted} were granted`)
    t.ok(granted * filterOf(1_999).length <= MAX_FILTER_BYTES)
    session = sessions.open('client 0', false, connection(t)).session
    sessions.unsubscribe(session, filterOf(0))
    t.ok(sessions.subscribe(session, filterOf(0), 0), 'what is given back may be used again')
    t.ok(sessions.subscribe(session, filterOf(0), 2), 'a change of QoS costs nothing')
  }
  t.end()
})
