import { test } from 'tap'
import { nodeFileSystem } from '../../src/log/file-system.ts'
import type { Loss } from '../../src/log/owed-file.ts'
import { OwedFile } from '../../src/log/owed-file.ts'
import { OwedLosses } from '../../src/log/owed-losses.ts'
import { rememberingLogger } from '../support/context.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { until } from '../support/until.ts'

const lossOf = (number: number, count = 1): Loss => ({ first: number, last: number, count, reason: 'retention' })

test('losses whose marks become durable at once are owed no longer', async (t) => {
  const directory = await temporaryDirectory(t)
  const fileSystem = nodeFileSystem()
  const durable: (() => void)[] = []
  const options = { fileSystem, directory, logger: rememberingLogger(), refusing: () => true }
  const owed = new OwedLosses({
    ...options,
    file: new OwedFile(fileSystem, directory, () => undefined),
    recordLoss: (loss) => new Promise((resolve) => durable.push(() => resolve(loss.first))),
  })
  await owed.open()
  for (let number = 1; number <= 3; number++) await owed.record(lossOf(number))
  t.strictSame(
    await new OwedFile(fileSystem, directory, () => undefined).open(),
    [1, 2, 3].map((n) => lossOf(n)),
  )
  for (const settle of durable) settle()
  await until('nothing is owed', async () => {
    const left = await new OwedFile(fileSystem, directory, () => undefined).open()
    return left.length === 0
  })
})

test('however many losses are owed, the file has room for them', async (t) => {
  const directory = await temporaryDirectory(t)
  const file = new OwedFile(nodeFileSystem(), directory, () => undefined)
  await file.open()
  const losses = Array.from({ length: 1_000 }, (_, index) => lossOf(index + 1, 3))
  await file.write(losses)
  const left = await new OwedFile(nodeFileSystem(), directory, () => undefined).open()
  t.equal(left[0]?.first, 1)
  t.equal(left.at(-1)?.last, 1_000)
  t.equal(
    left.reduce((sum, { count }) => sum + count, 0),
    3_000,
  )
})
