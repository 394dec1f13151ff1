import fc from 'fast-check'
import { test } from 'tap'
import { ByteReader } from '../../src/log/bytes.ts'
import { decodeSteps, encodeSteps, markSteps, maxStepsBytes, withStep } from '../../src/log/steps.ts'

test('steps are read back as they were written, in the shorter of two forms', async (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2_000 }), fc.double({ min: 0, max: 1, noNaN: true }), (total, share) => {
      const steps = Array.from({ length: total }, (_, step) => step).filter(
        (step) => (step * 7919) % 1_000 <= share * 1_000,
      )
      const bytes = Buffer.alloc(maxStepsBytes(steps, total) + 1)
      const end = encodeSteps(bytes, 0, steps, total)
      if (end > bytes.length - 1) return false
      const reader = new ByteReader(bytes, 0, end)
      const found = new Uint8Array(total)
      const encoded = decodeSteps(reader)
      markSteps(encoded, found)
      const again = Buffer.alloc(bytes.length)
      if (encodeSteps(again, 0, encoded, total) !== end || !again.equals(bytes)) return false
      return (
        reader.position === end &&
        steps.length === found.reduce((sum, one) => sum + one, 0) &&
        steps.every((step) => found[step] === 1)
      )
    }),
  )
  t.ok(maxStepsBytes([5], 256) <= 3, 'a rare channel costs little')
  t.ok(
    maxStepsBytes(
      Array.from({ length: 256 }, (_, step) => step),
      256,
    ) <= 34,
    'and so does one that is everywhere',
  )
})

test('steps that are not known may be anywhere', async (t) => {
  const bytes = Buffer.alloc(1)
  t.equal(encodeSteps(bytes, 0, undefined, 3), 1)
  const found = new Uint8Array(3)
  markSteps(decodeSteps(new ByteReader(bytes, 0, 1)), found)
  t.strictSame([...found], [1, 1, 1])
  t.strictSame(withStep(withStep([], 4), 4), [4])
})
