import fc from 'fast-check'
import { test } from 'tap'
import { addressesOf } from '../../src/core/modbus.ts'
import type { ModbusRegister, ModbusType } from '../../src/core/profile.ts'
import { type PlanLimits, partings, planReads } from '../../src/sources/modbus/read-plan.ts'

const register = (address: number, type: ModbusType = 'u16', name = `r${address}`): ModbusRegister => ({
  name,
  table: 'holding',
  address,
  type,
  words: 'big',
  bytes: 'big',
})

const limits = (more: Partial<PlanLimits> = {}): PlanLimits => ({
  maxRegisters: 125,
  maxBits: 2_000,
  gap: 0,
  unreadable: [],
  ...more,
})

const brief = (registers: readonly ModbusRegister[], given: PlanLimits, apart?: ReadonlySet<string>) =>
  planReads(registers, given, apart).map(({ table, address, count }) => `${table} ${address}+${count}`)

test('neighbours are read together, as far as limits, gaps and holes allow', async (t) => {
  const all = [register(0, 'f32'), register(2, 'f32'), register(6), register(20, 'u64'), register(3_000)]
  t.strictSame(brief(all, limits()), ['holding 0+4', 'holding 6+1', 'holding 20+4', 'holding 3000+1'])
  t.strictSame(brief(all, limits({ gap: 2 })), ['holding 0+7', 'holding 20+4', 'holding 3000+1'])
  t.strictSame(brief(all, limits({ gap: 20 })), ['holding 0+24', 'holding 3000+1'])
  t.strictSame(brief(all, limits({ gap: 20, maxRegisters: 20 })), ['holding 0+7', 'holding 20+4', 'holding 3000+1'])
  const unreadable = [{ table: 'holding' as const, first: 5, last: 5 }]
  t.strictSame(brief(all, limits({ gap: 2, unreadable })), [
    'holding 0+4',
    'holding 6+1',
    'holding 20+4',
    'holding 3000+1',
  ])
  t.strictSame(brief(all.toReversed(), limits()), brief(all, limits()), 'in whatever order they are listed')
})

test('tables are never mixed, and bits of one register are read once', async (t) => {
  const bits = [0, 1, 2].map((bit) => ({ ...register(7, 'u16', `bit${bit}`), bits: [bit, bit] as const }))
  const coils = [0, 1, 9].map((address) => ({ ...register(address, 'bool', `c${address}`), table: 'coil' as const }))
  t.strictSame(brief([...bits, ...coils], limits({ gap: 7 })), ['coil 0+10', 'holding 7+1'])
})

test('what was refused together is read apart, at gaps first and in the middle else', async (t) => {
  const gappy = [register(0), register(1), register(10), register(11), register(30)]
  t.strictSame(partings({ registers: gappy }), ['r10', 'r30'])
  t.strictSame(brief(gappy, limits({ gap: 50 }), new Set(['r10', 'r30'])), [
    'holding 0+2',
    'holding 10+2',
    'holding 30+1',
  ])
  t.strictSame(partings({ registers: [register(0), register(1), register(2), register(3)] }), ['r2'])
  t.strictSame(partings({ registers: [register(0)] }), [])
  const bits = [0, 1].map((bit) => ({ ...register(7, 'u16', `bit${bit}`), bits: [bit, bit] as const }))
  t.strictSame(partings({ registers: bits }), [], 'bits of one register cannot be parted')
})

test('parting again and again ends with every register alone', async (t) => {
  const registers = Array.from({ length: 13 }, (_, index) => register(index))
  const apart = new Set<string>()
  for (let round = 0; round < 13; round++)
    for (const read of planReads(registers, limits(), apart)) for (const name of partings(read)) apart.add(name)
  t.equal(planReads(registers, limits(), apart).length, 13)
})

/** Every way to part a list into groups. */
function* partitions<T>(items: readonly T[]): Generator<readonly (readonly T[])[]> {
  const [first, ...rest] = items
  if (first === undefined) {
    yield []
    return
  }
  for (const partition of partitions(rest)) {
    yield [[first], ...partition]
    for (const [index, group] of partition.entries())
      yield partition.map((other, position) => (position === index ? [first, ...group] : other))
  }
}

test('no other way to group the registers takes fewer requests', async (t) => {
  const types: readonly ModbusType[] = ['u16', 'f32', 'u64']
  const small = fc.record({
    registers: fc.uniqueArray(fc.tuple(fc.nat(14), fc.constantFrom(...types)), {
      minLength: 1,
      maxLength: 6,
      selector: ([address]) => address,
    }),
    gap: fc.nat(4),
    maxRegisters: fc.integer({ min: 4, max: 12 }),
    holes: fc.array(fc.nat(16), { maxLength: 2 }),
  })
  const covered = (registers: readonly ModbusRegister[]) =>
    new Set(registers.flatMap((one) => Array.from({ length: addressesOf(one) }, (_, offset) => one.address + offset)))
  fc.assert(
    fc.property(small, ({ registers: written, gap, maxRegisters, holes }) => {
      const registers = written.map(([address, type], index) => register(address, type, `${index}`))
      const free = holes.filter((hole) => !covered(registers).has(hole))
      const given = limits({
        gap,
        maxRegisters,
        unreadable: free.map((hole) => ({ table: 'holding', first: hole, last: hole })),
      })
      // What one request may be, said another way than the planner does: address by address.
      const legal = (group: readonly ModbusRegister[]): boolean => {
        const wanted = covered(group)
        const first = Math.min(...wanted)
        const last = Math.max(...wanted)
        let unwanted = 0
        for (let address = first; address <= last; address++) {
          unwanted = wanted.has(address) ? 0 : unwanted + 1
          if (unwanted > gap || free.includes(address)) return false
        }
        return last - first + 1 <= maxRegisters
      }
      let fewest = Number.POSITIVE_INFINITY
      for (const groups of partitions(registers))
        if (groups.length < fewest && groups.every(legal)) fewest = groups.length
      const plan = planReads(registers, given)
      if (plan.length !== fewest) throw new Error(`${plan.length} requests instead of ${fewest}`)
      if (!plan.every(({ registers: group }) => legal(group))) throw new Error('a request that may not be')
      if (plan.flatMap(({ registers: group }) => group).length !== registers.length) throw new Error('not all are read')
    }),
    { numRuns: process.env['TIDEGATE_LONG'] === '1' ? 20_000 : 1_000 },
  )
  t.pass()
})
