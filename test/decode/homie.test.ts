import { test } from 'tap'
import { brief } from '../support/decoding.ts'
import { router as shared } from '../support/profiles.ts'

const line = () => {
  const router = shared.forgetful()
  let seq = 0
  return (topic: string, payload: string | Buffer) => {
    const message = { topic, payload: Buffer.from(payload), source: 'broker', receivedAt: 0, seq: ++seq }
    router.learn(message)
    return router.decode(message)
  }
}

const typed = (datatype: string, payload: string | Buffer, more: Readonly<Record<string, string>> = {}) => {
  const send = line()
  for (const [name, value] of Object.entries({ datatype, ...more })) send(`homie/d/n/p/$${name}`, value)
  return send('homie/d/n/p', payload)
}

test('values have the type that the device states, and no other', (t) => {
  t.strictSame(brief(typed('integer', '-7')), ['n.p=-7'])
  t.strictSame(brief(typed('integer', '9007199254740993')), ['n.p="9007199254740993"'])
  t.strictSame(brief(typed('float', '2.5e1', { unit: '°C' })), ['n.p=25 Cel'])
  t.strictSame(brief(typed('float', '77', { unit: '°F' })), ['n.p=25 Cel'])
  t.strictSame(brief(typed('boolean', 'false')), ['n.p=false'])
  t.strictSame(brief(typed('enum', '1')), ['n.p="1"'])
  t.strictSame(brief(typed('string', 'true')), ['n.p="true"'])
  t.strictSame(brief(typed('string', Buffer.from([0]))), ['n.p=""'])
  t.strictSame(brief(typed('string', '')), [], 'it is taken back')
  for (const [datatype, payload] of [
    ['integer', '2.5'],
    ['float', 'NaN'],
    ['float', 'warm'],
    ['boolean', 'ON'],
  ] as const)
    t.match(typed(datatype, payload).fault, new RegExp(`is no ${datatype}`))
  t.strictSame(brief(line()('homie/d/n/p', '21.5')), ['n.p=21.5'], 'without attributes: as it looks')
  t.strictSame(brief(line()('homie/d/n/p', '77 °F')), ['n.p=25 Cel'], 'a value that was converted has its unit')
  t.end()
})

test('a number outside of its format is doubtful', (t) => {
  t.strictSame(typed('float', '101', { format: '0:100' }).doubtful, [
    { device: 'homie/d', name: 'n.p', reason: 'out-of-range', value: 101 },
  ])
  t.strictSame(brief(typed('float', '100', { format: '0:100' })), ['n.p=100'])
  t.strictSame(brief(typed('float', '-1', { format: ':100' })), ['n.p=-1'])
  t.strictSame(brief(typed('integer', '5', { format: 'a,b' })), ['n.p=5'])
  t.end()
})

test('version 5 describes a device in one document, and the newest counts', (t) => {
  const send = line()
  const describe = (unit: string) =>
    send('homie/5/d/$description', JSON.stringify({ nodes: { n: { properties: { p: { datatype: 'float', unit } } } } }))
  describe('W')
  t.strictSame(brief(send('homie/5/d/n/p', '1')), ['n.p=1 W'])
  describe('kW')
  t.strictSame(brief(send('homie/5/d/n/p', '1')), ['n.p=1 kW'])
  t.match(send('homie/5/d/$description', '{').fault, /not valid JSON/)
  t.strictSame(brief(send('homie/5/d/n/p', '1')), ['n.p=1 kW'])
  t.strictSame(brief(send('homie/5/d/n/other', '1')), ['n.other=1'])
  t.end()
})

test('a root that is lost takes its children with it, also where they go round in a circle', (t) => {
  const send = line()
  send('homie/5/root/$description', '{"children":["a","b"]}')
  send('homie/5/a/$description', '{"children":["c","root"]}')
  const device = (id: string, online: boolean) => ({ device: `homie/5/${id}`, online })
  t.strictSame(
    send('homie/5/root/$state', 'lost').presence,
    ['root', 'a', 'b', 'c'].map((id) => device(id, false)),
  )
  t.strictSame(send('homie/5/a/$state', 'ready').presence, [device('a', true)])
  t.strictSame(send('homie/d/$state', 'sleeping').presence, [{ device: 'homie/d', online: true }])
  t.strictSame(send('homie/d/$state', 'disconnected').presence, [{ device: 'homie/d', online: false }])
  t.strictSame(send('homie/d/$state', '').presence, [{ device: 'homie/d', online: false }])
  t.match(send('homie/d/$state', 'odd').fault, /no state 'odd'/)
  t.end()
})
