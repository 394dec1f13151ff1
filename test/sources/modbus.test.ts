import { test } from 'tap'
import { type ModbusLine, modbusLine } from '../support/modbus-line.ts'
import { type Manner, ModbusSlave } from '../support/modbus-slave.ts'
import { modbusProfile, startModbus } from '../support/modbus-source.ts'
import { needs } from '../support/needs.ts'
import { until } from '../support/until.ts'

type Test = Parameters<typeof modbusLine>[0]

const EVERY_MS = 50
const TIMEOUT_MS = 100

const meter = modbusProfile('meter', {
  every: `${EVERY_MS}ms`,
  timeout: `${TIMEOUT_MS}ms`,
  table: 'input',
  type: 'f32',
  registers: [
    { name: 'voltage', address: 0, unit: 'V' },
    { name: 'current', address: 2, unit: 'A' },
  ],
})

/** Units 1 to `count`, each with its number as its voltage. */
const busOf = async (t: Test, count: number): Promise<{ readonly line: ModbusLine; readonly slave: ModbusSlave }> => {
  const line = await modbusLine(t)
  const slave = new ModbusSlave()
  for (let unit = 1; unit <= count; unit++)
    slave
      .unit(unit)
      .float(0, unit)
      .float(2, 10 + unit)
  await slave.serve(line.far)
  t.teardown(() => slave.close())
  return { line, slave }
}

const units = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ unit: index + 1, profile: 'meter', device: `unit/${index + 1}` }))

test('registers behind a serial line become readings, and the unit is online', needs('socat'), async (t) => {
  const { line, slave } = await busOf(t, 1)
  const bus = await startModbus(t, { path: line.path, unit: 1, profile: 'meter', device: 'solar' }, [meter])
  await until('two cycles', () => bus.payloads('solar').length >= 2)
  t.strictSame(bus.values('solar'), { voltage: 1, current: 11 })
  t.match(bus.decoded('solar')[0], { presence: [{ device: 'solar', online: true }], fault: undefined })
  t.match(bus.decoded('solar')[1], { presence: undefined })
  t.strictSame(slave.requests[0], { ...slave.requests[0], code: 4, address: 0, count: 4 }, 'one request for both')
  t.match(bus.source.health(), { state: 'ok', detail: { open: true, units: 1 } })
})

test('units that answer wrongly or not are named, told offline once, and told back', needs('socat'), async (t) => {
  const { line, slave } = await busOf(t, 6)
  const manners: readonly (readonly [unit: number, manner: Manner, fault: RegExp])[] = [
    [2, 'silent', /unit 2: input 0 to 3: no answer within 100 ms/],
    [3, 'bad-crc', /unit 3: input 0 to 3: no valid answer within 100 ms, only 13 bytes/],
    [4, 'truncated', /unit 4: input 0 to 3: no valid answer within 100 ms/],
    [5, 'other-unit', /unit 5: input 0 to 3: no valid answer within 100 ms/],
  ]
  for (const [unit, manner] of manners) slave.unit(unit).manner = manner
  const bus = await startModbus(t, { path: line.path, units: units(6) }, [meter])
  const payloads = (unit: number) => bus.payloads(`unit/${unit}`)
  await until('they are offline', () => manners.every(([unit]) => payloads(unit).at(-1)?.online === false))
  const before = slave.count(1)
  const told = manners.map(([unit]) => payloads(unit).length)
  await until('the others go on', () => slave.count(1) > before + 4)
  t.match(bus.source.health(), { state: 'ok', reason: /^4 of 6 units without answer \(2, 3, 4, 5\)/ })
  for (const [index, [unit, , fault]] of manners.entries()) {
    t.equal(payloads(unit).length, told[index], 'nothing more is written about it')
    t.match(bus.decoded(`unit/${unit}`)[0]?.fault, fault)
    t.same(
      bus.decoded(`unit/${unit}`).flatMap(({ readings }) => readings),
      [],
    )
  }
  for (const unit of [1, 6]) t.equal(bus.values(`unit/${unit}`)['voltage'], unit)

  for (const [unit] of manners) slave.unit(unit).manner = 'right'
  await until(
    'they are back',
    () => manners.every(([unit], index) => payloads(unit).length > (told[index] ?? 0)),
    20_000,
  )
  for (const [unit] of manners) {
    t.equal(bus.values(`unit/${unit}`)['voltage'], unit)
    t.strictSame(
      bus.decoded(`unit/${unit}`).flatMap(({ presence = [] }) => presence.map(({ online }) => online)),
      [false, true],
    )
  }
})

test('noise before an answer does not hide it', needs('socat'), async (t) => {
  const { line, slave } = await busOf(t, 1)
  slave.unit(1).manner = 'noise'
  const bus = await startModbus(t, { path: line.path, profile: 'meter' }, [meter])
  await until('three cycles', () => bus.payloads('bus').length >= 3)
  t.strictSame(bus.values('bus'), { voltage: 1, current: 11 })
  t.equal(bus.payloads('bus').flatMap(({ errors = [] }) => errors).length, 0)
})

for (const lateMs of [90, 200])
  test(
    `an answer after ${lateMs} ms instead of 60 is never taken for that of another request`,
    needs('socat'),
    async (t) => {
      const two = modbusProfile('two', {
        every: '50ms',
        timeout: '60ms',
        registers: [
          { name: 'a', address: 0 },
          { name: 'b', address: 100 },
        ],
      })
      const line = await modbusLine(t)
      const slave = new ModbusSlave()
      for (const unit of [1, 2])
        slave
          .unit(unit)
          .set(0, 1_000 + unit)
          .set(100, 2_000 + unit)
      await slave.serve(line.far)
      t.teardown(() => slave.close())
      const config = { path: line.path, units: [1, 2].map((unit) => ({ unit, profile: 'two', device: `u${unit}` })) }
      const bus = await startModbus(t, config, [two])
      await until('both answer', () => bus.payloads('u1').length > 2 && bus.payloads('u2').length > 2)
      // It comes while others are asked, and has the length of their answers.
      slave.unit(1).manner = { lateMs }
      await until('health says that it is late', () => bus.source.health().reason?.includes('raise its timeout'))
      const before = bus.payloads('u2').length
      await until('many cycles of the other', () => bus.payloads('u2').length > before + 20)
      slave.unit(1).manner = 'right'
      const told = bus.payloads('u1').length
      await until('it is back', () => bus.payloads('u1').length > told + 2, 20_000)
      const wrong = [1, 2].flatMap((unit) =>
        bus
          .decoded(`u${unit}`)
          .flatMap(({ readings }) => readings)
          .filter(({ name, value }) => value !== (name === 'a' ? 1_000 : 2_000) + unit),
      )
      t.strictSame(wrong, [])
    },
  )

test('exceptions are told for the unit and register, and the rest is read', needs('socat'), async (t) => {
  const { line, slave } = await busOf(t, 1)
  for (const [code, text] of [
    [4, /exception 4, device failure/],
    [6, /exception 6, device busy/],
    [11, /exception 11, gateway target does not respond/],
  ] as const) {
    slave.unit(1).manner = { exception: code }
    const device = `code${code}`
    const bus = await startModbus(t, { path: line.path, profile: 'meter', device }, [meter])
    await until('a message', () => bus.payloads(device).length > 0)
    t.match(bus.decoded(device)[0]?.fault, text)
    await bus.source.close()
  }
})

test('a merged read that the unit refuses is parted, and that is remembered', needs('socat'), async (t) => {
  const gappy = modbusProfile('gappy', {
    every: '50ms',
    timeout: '300ms',
    gap: 20,
    registers: [0, 1, 10, 11, 12].map((address) => ({ name: `r${address}`, address })),
  })
  const line = await modbusLine(t)
  const slave = new ModbusSlave()
  const unit = slave.unit(1)
  for (const address of [0, 1, 10, 11, 12]) unit.set(address, 100 + address)
  // Nothing between 1 and 10 exists, and 12 does not either.
  unit.legal = (_, address) => address <= 1 || address === 10 || address === 11
  await slave.serve(line.far)
  t.teardown(() => slave.close())
  const bus = await startModbus(t, { path: line.path, profile: 'gappy' }, [gappy])
  await until('some cycles', () => bus.payloads('bus').length >= 4)
  t.strictSame(bus.values('bus'), { r0: 100, r1: 101, r10: 110, r11: 111 })
  t.match(bus.decoded('bus')[0]?.fault, /unit 1: holding 12: exception 2, illegal data address/)
  t.equal(bus.decoded('bus')[1]?.fault, undefined, 'said once')
  t.match(bus.source.health(), { detail: { refusedRegisters: 'bus r12' } })
  const asked = slave.requests.slice(-4).map(({ address, count }) => `${address}+${count}`)
  t.ok(
    asked.every((read) => ['0+2', '10+2', '10+1', '11+1'].includes(read)),
    asked.join(' '),
  )
})

test('one dead unit of four does not slow the others', needs('socat'), async (t) => {
  const quick = modbusProfile('meter', { every: '50ms', timeout: '50ms', registers: [{ name: 'a', address: 0 }] })
  const { line, slave } = await busOf(t, 4)
  const rates = async (): Promise<number> => {
    const from = performance.now()
    const before = [1, 2, 4].map((unit) => slave.count(unit))
    await until('time has passed', () => performance.now() - from > 1_000)
    const seconds = (performance.now() - from) / 1_000
    return Math.min(...[1, 2, 4].map((unit, index) => (slave.count(unit) - (before[index] ?? 0)) / seconds))
  }
  const bus = await startModbus(t, { path: line.path, units: units(4) }, [quick])
  await until('all answer', () => units(4).every(({ device }) => bus.payloads(device).length > 1))
  const alone = await rates()
  slave.unit(3).manner = 'silent'
  const before = slave.count(3)
  // Probes follow each other after 50, 100, 200, 400, 800 ms and so on, up to a minute.
  await until('it is probed seldom', () => slave.count(3) >= before + 6)
  const probes = slave.count(3)
  const beside = await rates()
  t.comment(`requests a second to each: ${alone.toFixed(1)} with all alive, ${beside.toFixed(1)} beside a dead one`)
  t.ok(slave.count(3) - probes <= 2, `${slave.count(3) - probes} probes within the second`)
  t.ok(beside > 0.4 * alone, `${beside} of ${alone}`)
})

test('a line that is unplugged and plugged in again is found within two seconds', needs('socat'), async (t) => {
  const { line, slave } = await busOf(t, 1)
  const bus = await startModbus(t, { path: line.path, profile: 'meter' }, [meter])
  await until('readings', () => bus.payloads('bus').length > 2)
  for (let round = 0; round < 3; round++) {
    await slave.close()
    await line.unplug()
    await until('health says so', () => bus.source.health().state === 'degraded')
    await line.plug()
    await slave.serve(line.far)
    const pluggedAt = performance.now()
    const before = bus.payloads('bus').length
    await until('readings again', () => bus.payloads('bus').length > before + 1)
    const tookMs = performance.now() - pluggedAt
    t.ok(tookMs < 2_500, `${tookMs} ms`)
  }
  t.equal(bus.source.health().state, 'ok')
})

test('a port that is not there is waited for, and its units are offline meanwhile', needs('socat'), async (t) => {
  const { line, slave } = await busOf(t, 1)
  await slave.close()
  await line.unplug()
  const bus = await startModbus(t, { path: line.path, profile: 'meter' }, [meter])
  t.match(bus.source.health(), { state: 'degraded' })
  await until('told offline', () => bus.payloads('bus').at(-1)?.online === false)
  t.match(bus.decoded('bus')[0]?.fault, /cannot be opened/)
  await t.rejects(
    bus.source.send?.({ id: '1', device: 'bus', payload: Buffer.from('{"x":1}'), qos: 1 }) ?? Promise.resolve(),
  )
  await line.plug()
  await slave.serve(line.far)
  await until('readings', () => bus.values('bus')['voltage'] === 1)
  t.equal(bus.payloads('bus').filter(({ online }) => online === false).length, 1)
})

test('a command is not written while the answer to the one before may still come', needs('socat'), async (t) => {
  const relay = modbusProfile('relay', {
    every: `${EVERY_MS}ms`,
    timeout: `${TIMEOUT_MS}ms`,
    type: 'u16',
    registers: [{ name: 'level', address: 0 }],
    write: [{ name: 'level', table: 'holding', address: 0, type: 'u16', range: [0, 100] }],
  })
  const { line, slave } = await busOf(t, 1)
  const bus = await startModbus(t, { path: line.path, unit: 1, profile: 'relay', device: 'relay' }, [relay])
  await until('it is read', () => bus.payloads('relay').length > 0)
  let id = 0
  const send = (level: number) =>
    bus.source.send?.({ id: `${id++}`, device: 'relay', payload: Buffer.from(`{"level":${level}}`), qos: 1 })
  slave.unit(1).manner = 'silent'
  await t.rejects(send(1) ?? Promise.resolve(), { code: 'TG_COMMAND_UNDELIVERABLE' })
  const asked = slave.requests.filter(({ code }) => code === 6).length
  await t.rejects(send(2) ?? Promise.resolve(), { message: /owes the answer/ })
  t.equal(slave.requests.filter(({ code }) => code === 6).length, asked)
  slave.unit(1).manner = 'right'
  await until('it takes commands again', async () => {
    try {
      await send(3)
      return true
    } catch {
      return false
    }
  })
  await until('the new state is read', () => bus.values('relay')['level'] === 3)
})

test('while the log takes nothing, turns are left out and counted', needs('socat'), async (t) => {
  const { line, slave } = await busOf(t, 1)
  const bus = await startModbus(t, { path: line.path, profile: 'meter' }, [meter])
  await until('readings', () => bus.payloads('bus').length > 2)
  bus.log.full()
  const skipped = () => bus.meter.values.get('modbus_skipped_polls_total{source=bus}') ?? 0
  await until('turns are left out', () => skipped() > 3)
  const asked = slave.requests.length
  t.match(bus.source.health(), { state: 'degraded', reason: /the log takes no more/ })
  await until('more turns pass', () => skipped() > 6)
  t.ok(slave.requests.length - asked <= 1, 'nobody is asked for what cannot be kept')
  bus.log.room()
  const before = bus.payloads('bus').length
  await until('it goes on', () => bus.payloads('bus').length > before + 2)
})

test('closing ends at once, in the middle of a request', needs('socat'), async (t) => {
  const { line, slave } = await busOf(t, 1)
  slave.unit(1).manner = 'silent'
  const bus = await startModbus(t, { path: line.path, profile: 'meter', timeout: 30_000 }, [meter])
  await until('a request is open', () => slave.requests.length > 0)
  const from = performance.now()
  await bus.source.close()
  await bus.source.close()
  t.ok(performance.now() - from < 2_000)
  const count = bus.log.entries.length
  await until('nothing comes any more', () => performance.now() - from > 300)
  t.equal(bus.log.entries.length, count)
  t.equal(bus.source.health().state, 'closed')
})
