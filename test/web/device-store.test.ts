import { test } from 'tap'
import { DeviceStore } from '../../src/web/device-store.ts'
import { parseDevices, parseServerMessage, type Reading } from '../../src/web/protocol.ts'
import { matchesSearch, matchingNames, searchWords } from '../../src/web/search.ts'

const reading = (seq: number, device: string, name: string, value: Reading['value']): Reading => ({
  seq,
  device,
  name,
  value,
  time: '2026-11-20T10:00:00.000Z',
})

/** A store whose frames the test draws. */
const drawnStore = (limits?: { devices: number; values: number }) => {
  const frames: (() => void)[] = []
  const store = new DeviceStore((work) => void frames.push(work), limits)
  const draw = () => {
    for (const frame of frames.splice(0)) frame()
  }
  return { store, frames, draw }
}

test('many messages between two frames cost one announcement, to the devices concerned only', async (t) => {
  const { store, frames, draw } = drawnStore()
  store.apply([reading(1, 'a', 'x', 1), reading(2, 'b', 'x', 1)])
  draw()
  let lists = 0
  const told: string[] = []
  store.devices.subscribe(() => lists++)
  for (const device of store.devices.value) device.version.subscribe(() => told.push(device.name))
  for (let seq = 3; seq < 1_000; seq++) store.apply([reading(seq, 'b', 'x', seq)])
  t.equal(frames.length, 1)
  draw()
  t.same(told, ['b'])
  t.equal(lists, 0, 'the list itself is the same')
  t.equal(store.devices.value[1]?.readings.get('x')?.value, 999)
})

test('devices and names are sorted as people sort, whoever comes first', async (t) => {
  const { store, draw } = drawnStore()
  store.apply(['s10', 's2', 'S3', '__proto__', 'a'].map((device, index) => reading(index + 1, device, 'x', 1)))
  store.apply(['p10', 'p9', 'constructor'].map((name, index) => reading(index + 9, 'a', name, 1)))
  draw()
  t.same(
    store.devices.value.map((device) => device.name),
    ['__proto__', 'a', 's2', 'S3', 's10'],
  )
  t.same(store.devices.value[1]?.names, ['constructor', 'p9', 'p10', 'x'])
})

test('an older reading never replaces a newer one', async (t) => {
  const { store, draw } = drawnStore()
  store.apply([reading(5, 'a', 'x', 'new')])
  store.apply([reading(4, 'a', 'x', 'old')])
  draw()
  t.equal(store.devices.value[0]?.readings.get('x')?.value, 'new')
})

test('nothing is known before the gateway has spoken; an empty answer is one', async (t) => {
  const { store, draw } = drawnStore()
  store.describe([])
  draw()
  t.equal(store.known.value, false)
  store.apply([])
  draw()
  t.equal(store.known.value, true)
})

test('a device that only ever sent faults is shown too', async (t) => {
  const { store, draw } = drawnStore()
  const devices = parseDevices({
    devices: [
      { device: 'broken', profile: 'generic', lastHeard: '2026-11-20T10:00:00Z', faults: 2, stale: false },
      { device: 'nonsense' },
      null,
    ],
  })
  store.describe(devices)
  draw()
  t.same(
    store.devices.value.map((device) => [device.name, device.info?.faults]),
    [['broken', 2]],
  )
})

test('a store that outgrows the page says so, and is empty after a reset', async (t) => {
  const { store, draw } = drawnStore({ devices: 10, values: 20 })
  for (let seq = 1; seq <= 20; seq++) store.apply([reading(seq, 'a', `n${seq}`, seq)])
  t.equal(store.overflowing, false)
  store.apply([reading(21, 'a', 'n21', 1)])
  t.equal(store.overflowing, true)
  store.clear()
  draw()
  t.equal(store.overflowing, false)
  t.same(store.devices.value, [])
})

test('a search finds devices and values by all of its words', async (t) => {
  const { store, draw } = drawnStore()
  store.apply([reading(1, 'Sensors/Greenhouse', 'temperature', 1), reading(2, 'Sensors/Greenhouse', 'humidity', 1)])
  draw()
  const device = store.devices.value[0]
  if (device === undefined) throw new Error('there is no device')
  const search = (text: string) =>
    matchesSearch(device, searchWords(text)) ? matchingNames(device, searchWords(text)) : undefined
  t.same(search('green'), ['humidity', 'temperature'])
  t.same(search('GREEN temp'), ['temperature'])
  t.same(search('  '), ['humidity', 'temperature'])
  t.equal(search('green pressure'), undefined)
})

test('what the gateway sends is taken only in the shape of the protocol', async (t) => {
  for (const text of ['null', '{', '[]', '1', '{"type":"readings"}', '{"type":"new-in-version-9"}'])
    t.equal(parseServerMessage(text), undefined, text)
  const valid = reading(1, 'a', 'x', 1)
  const spoilt = [{ ...valid, value: { a: 1 } }, { ...valid, time: 'yesterday' }, { ...valid, device: 3 }, null]
  const text = JSON.stringify({ type: 'readings', seq: 1, readings: [valid, ...spoilt] })
  t.same(parseServerMessage(text), { type: 'readings', seq: 1, readings: [valid] })
})

test('a value is in doubt until a good one comes, and late ones do not count', async (t) => {
  const { store, draw } = drawnStore()
  store.apply([reading(1, 'a', 'x', 20)])
  draw()
  const info = { device: 'a', profile: 'p', source: 's', lastHeard: '2026-11-20T10:00:00Z', faults: 1 }
  const doubtful = [{ name: 'x', quality: 'faulty', seq: 2, time: '2026-11-20T10:00:01Z' }] as const
  store.describe([{ ...info, stale: true, staleReason: 'offline', doubtful }])
  const [device] = store.devices.value
  t.equal(device?.doubt('x')?.quality, 'faulty')
  t.equal(device?.doubt('y'), undefined)
  store.apply([{ ...reading(3, 'a', 'x', 99), historical: true }])
  t.equal(device?.readings.get('x')?.value, 20)
  t.equal(device?.doubt('x')?.quality, 'faulty')
  store.apply([reading(4, 'a', 'x', 21)])
  t.equal(device?.doubt('x'), undefined)
  t.equal(device?.info?.stale, true, 'offline is the gateway’s word')
})
