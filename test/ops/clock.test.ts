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

test('the clock counts as set when it is plausible, or once the service manager says so', async (t) => {
  const directory = await temporaryDirectory(t)
  const synchronizedFile = join(directory, 'synchronized')
  t.equal(systemClock({ synchronizedFile, wallMs: () => Date.UTC(2026, 10, 20) }).synced(), true)
  let wall = 10_000
  const clock = systemClock({ synchronizedFile, wallMs: () => wall })
  t.equal(clock.synced(), false)
  await writeFile(synchronizedFile, '')
  await until('the clock is looked at again', () => clock.synced())
  wall = 5_000
  t.equal(clock.synced(), true, 'once set, it stays set')
})
