import { createServer } from 'node:net'
import modbusSerial from 'modbus-serial'
import { test } from 'tap'
import { ModbusSlave } from '../support/modbus-slave.ts'
import { modbusProfile, startModbus } from '../support/modbus-source.ts'
import { until } from '../support/until.ts'

const relay = modbusProfile('relay', {
  every: '50ms',
  timeout: '300ms',
  registers: [
    { name: 'relay1', table: 'coil', address: 0 },
    { name: 'relay2', table: 'coil', address: 1 },
    { name: 'level', table: 'holding', address: 10, type: 'i16', scale: 0.1, unit: 'Cel' },
    { name: 'count', table: 'holding', address: 11, type: 'u32' },
  ],
  write: [
    { name: 'relay1', table: 'coil', address: 0, values: { ON: true, OFF: false } },
    { name: 'level', table: 'holding', address: 10, type: 'i16', scale: 0.1, range: [-20, 60] },
    { name: 'count', table: 'holding', address: 11, type: 'u32' },
  ],
})

const command = (payload: unknown, device = 'box') => ({
  id: '1',
  device,
  payload: Buffer.from(typeof payload === 'string' ? payload : JSON.stringify(payload)),
  qos: 1 as const,
})

for (const framing of ['tcp', 'rtu'] as const) {
  const url = (port: number) => `${framing === 'rtu' ? 'rtu+' : ''}tcp://127.0.0.1:${port}`

  test(`commands write coils and registers over ${url(502)}, and the new state is read`, async (t) => {
    const slave = new ModbusSlave()
    const unit = slave.unit(7).set(10, 0xff9c)
    await slave.listen(framing)
    t.teardown(() => slave.close())
    const bus = await startModbus(
      t,
      { url: url(slave.port), unit: 7, profile: 'relay', device: 'box', every: 60_000 },
      [relay],
    )
    await until('the first cycle', () => bus.payloads('box').length === 1)
    t.strictSame(bus.values('box'), { relay1: false, relay2: false, level: -10, count: 0 })
    await bus.source.send?.(command({ relay1: 'ON', level: 21.5, count: 70_000 }))
    t.equal(unit.coils.get(0), true)
    t.strictSame(
      [10, 11, 12].map((address) => unit.registers.get(address)),
      [215, 1, 4_464],
    )
    await until('the new state', () => bus.payloads('box').length > 1)
    t.strictSame(bus.values('box'), { relay1: true, relay2: false, level: 21.5, count: 70_000 })
    await bus.source.send?.(command({ write: { table: 'coil', address: 0, value: false } }))
    t.equal(unit.coils.get(0), false)
  })

  test(`a connection over ${url(502)} that ends is opened again`, async (t) => {
    const slave = new ModbusSlave()
    slave.unit(1).set(10, 5)
    await slave.listen(framing)
    const bus = await startModbus(t, { url: url(slave.port), profile: 'relay' }, [relay])
    t.teardown(() => slave.close())
    for (let round = 0; round < 2; round++) {
      const before = bus.payloads('bus').length
      await until('readings', () => bus.payloads('bus').length > before + 2)
      await slave.close()
      await until('health says so', () => bus.source.health().state === 'degraded')
      await slave.listen(framing)
    }
    const before = bus.payloads('bus').length
    await until('readings again', () => bus.payloads('bus').length > before + 2)
    t.equal(bus.source.health().state, 'ok')
  })
}

test('what a command may not do is refused before anything is written', async (t) => {
  const slave = new ModbusSlave()
  slave.unit(1)
  await slave.listen()
  t.teardown(() => slave.close())
  const bus = await startModbus(t, { host: '127.0.0.1', port: slave.port, profile: 'relay', device: 'box' }, [relay])
  await until('the first cycle', () => bus.payloads('box').length > 0)
  const send = async (payload: unknown, device?: string) => bus.source.send?.(command(payload, device))
  for (const [payload, message] of [
    ['nonsense', /not valid JSON/],
    ['[1]', /must be an object/],
    ['{}', /is empty/],
    [{ relay2: true }, /lists no 'relay2' to write; there is relay1, level, count/],
    [{ relay1: 'AN' }, /relay1 cannot be 'AN'; it can be ON, OFF/],
    [{ relay1: 7 }, /relay1 cannot be 7/],
    [{ relay1: null }, /must be a number/],
    [{ level: 60.1 }, /level: 60.1 is outside -20 to 60/],
    [{ level: 'warm' }, /level cannot be 'warm'/],
    [{ level: true }, /level must be a number/],
    [{ count: 5e9 }, /does not fit into u32/],
    [{ count: -1 }, /does not fit into u32/],
    [{ level: 20, relay9: true }, /lists no 'relay9'/],
    [{ __proto__: 1, constructor: 1 }, /lists no 'constructor'/],
    [{ write: { table: 'coil', address: 5, value: true } }, /lists no coil 5/],
    [{ write: { table: 'coil', address: 0, value: true, unit: 0 } }, /no broadcasts/],
    [{ write: 5 }, /must be an object/],
  ] as const)
    await t.rejects(send(payload), { code: 'TG_BAD_REQUEST', message }, JSON.stringify(payload))
  await t.rejects(send({ relay1: true }, 'other'), { code: 'TG_COMMAND_UNDELIVERABLE' })
  t.equal(slave.requests.filter(({ code }) => code > 4).length, 0)

  slave.unit(1).manner = { exception: 3 }
  await t.rejects(send({ relay1: true }), {
    code: 'TG_COMMAND_UNDELIVERABLE',
    message: /relay1: exception 3, illegal data value/,
  })
  slave.unit(1).manner = 'silent'
  await t.rejects(send({ relay1: true }), { code: 'TG_COMMAND_UNDELIVERABLE', message: /no answer within 300 ms/ })
})

test("modbus-serial's own TCP server is read", async (t) => {
  const server = new (
    modbusSerial as unknown as { ServerTCP: new (vector: object, options: object) => ServerTcp }
  ).ServerTCP(
    {
      getCoil: (address: number) => address === 1,
      getMultipleHoldingRegisters: (address: number, length: number) =>
        Array.from({ length }, (_, index) => (address + index === 10 ? 215 : 1)),
    },
    { host: '127.0.0.1', port: 0, unitID: 3 },
  )
  await new Promise<void>((resolve) => server.once('initialized', resolve))
  t.teardown(() => new Promise<void>((resolve) => server.close(() => resolve())))
  const { port } = server._server.address()
  const bus = await startModbus(t, { url: `tcp://127.0.0.1:${port}`, unit: 3, profile: 'relay' }, [relay])
  await until('readings', () => bus.payloads('bus').length > 0)
  t.strictSame(bus.values('bus'), { relay1: false, relay2: true, level: 21.5, count: 65_537 })
  await bus.source.close()
})

interface ServerTcp {
  once(event: 'initialized', listener: () => void): void
  close(callback: () => void): void
  readonly _server: { address(): { readonly port: number } }
}

test('what answers without speaking Modbus is given up, and asked again', async (t) => {
  let connections = 0
  const server = createServer((socket) => {
    connections++
    socket.on('error', () => undefined)
    socket.on('data', () => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => new Promise<void>((resolve) => server.close(() => resolve())))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const bus = await startModbus(t, { url: `tcp://127.0.0.1:${port}`, profile: 'relay' }, [relay])
  await until('a second try', () => connections > 1)
  t.match(bus.lines[0], { level: 'warn', fields: { reason: /does not speak Modbus TCP/ } })
  await until('a fourth', () => connections > 3)
  t.equal(bus.lines.length, 1, 'said once')
  await bus.source.close()
})
