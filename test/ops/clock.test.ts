import { writeFile } from 'node:fs/promises'
import { uptime } from 'node:os'
import { join } from 'node:path'
import { test } from 'tap'
import { systemClock } from '../../src/ops/clock.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { until } from '../support/until.ts'

test('monotonic time counts from boot and never goes back', (t) => {
  const clock = systemClock()
  t.ok(clock.monotonicMs() > 0)
  t.ok(clock.monotonicMs() / 1_000 <= uptime() + 60, 'no later than the uptime, which also counts suspension')
  t.ok(Math.abs(clock.monotonicMs() - systemClock().monotonicMs()) < 1_000, 'two clocks agree')
  let before = clock.monotonicMs()
  for (let round = 0; round < 1_000; round++) {
    const now = clock.monotonicMs()
    if (now < before) t.fail('went back')
    before = now
  }
  t.ok(Math.abs(clock.wallMs() - Date.now()) < 1_000)
  t.end()
})

test('the boot identity is the kernel’s, or a random one where there is none', async (t) => {
  const file = join(await temporaryDirectory(t), 'boot_id')
  const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
  await writeFile(file, '0a1b2c3d-0000-4000-8000-00000000000f\n')
  t.equal(systemClock({ bootIdFile: file }).bootId, '0a1b2c3d-0000-4000-8000-00000000000f')
  await writeFile(file, 'nonsense')
  t.match(systemClock({ bootIdFile: file }).bootId, uuid)
  const absent = { bootIdFile: `${file}-absent` }
  t.match(systemClock(absent).bootId, uuid)
  t.not(systemClock(absent).bootId, systemClock(absent).bootId)
})

const RIGHT = Date.UTC(2026, 10, 20)
const SAVED = Date.UTC(2026, 8, 1)

test('without systemd-timesyncd, a plausible clock counts as set and an implausible one does not', async (t) => {
  const timesyncDirectory = join(await temporaryDirectory(t), 'absent')
  t.equal(systemClock({ timesyncDirectory, wallMs: () => RIGHT }).synced(), true)
  let wall = 10_000
  const clock = systemClock({ timesyncDirectory, wallMs: () => wall })
  t.equal(clock.synced(), false)
  wall = RIGHT
  await until('the clock is looked at again', () => clock.synced())
  wall = 5_000
  t.equal(clock.synced(), true, 'once set, it stays set')
})

test('where systemd-timesyncd runs, the clock is set when that says so, however plausible it is', async (t) => {
  const timesyncDirectory = await temporaryDirectory(t)
  let looks = 0
  const wallMs = () => {
    looks++
    return SAVED
  }
  const clock = systemClock({ timesyncDirectory, wallMs })
  t.equal(clock.synced(), false, 'the time that was saved at the last shutdown')
  await until('the clock is looked at again', () => {
    if (clock.synced()) t.fail('set without a word of the service')
    return looks > 1
  })
  await writeFile(join(timesyncDirectory, 'synchronized'), '')
  await until('the clock is looked at again', () => clock.synced())
  t.equal(systemClock({ timesyncDirectory, wallMs: () => SAVED }).synced(), true)
})

test('a clock that goes from an implausible time to a plausible one has been set, whoever did it', async (t) => {
  let wall = 10_000
  const clock = systemClock({ timesyncDirectory: await temporaryDirectory(t), wallMs: () => wall })
  t.equal(clock.synced(), false)
  wall = RIGHT
  await until('the clock is looked at again', () => clock.synced())
})
