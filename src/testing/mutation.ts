// Payloads that a decoder has never seen: examples with bytes cut, doubled, put in and flipped, and plain noise. The same
// every time, so that what fails once fails again.

const LONGEST_NOISE = 64

/** `count` payloads. */
export function* mutations(seeds: readonly Buffer[], count: number): Generator<Buffer> {
  const random = xorshift(0x7d6e_a1e5)
  for (let number = 0; number < count; number++) {
    const seed = seeds[random(seeds.length)]
    yield seed === undefined || number % 4 === 0 ? noise(random) : mutated(seed, random)
  }
}

type Random = (below: number) => number

const noise = (random: Random): Buffer => {
  const bytes = Buffer.alloc(random(LONGEST_NOISE))
  for (let index = 0; index < bytes.length; index++) bytes[index] = random(256)
  return bytes
}

const mutated = (seed: Buffer, random: Random): Buffer => {
  let bytes = Buffer.from(seed)
  for (let edits = 1 + random(4); edits > 0; edits--) {
    const at = random(bytes.length + 1)
    const length = random(5)
    switch (random(4)) {
      case 0:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)])
        break
      case 1:
        bytes = Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)])
        break
      case 2:
        bytes = Buffer.concat([bytes.subarray(0, at), noise(random).subarray(0, length), bytes.subarray(at)])
        break
      default:
        if (at < bytes.length) bytes[at] = random(256)
    }
  }
  return bytes
}

// Marsaglia's xorshift32.
const xorshift = (start: number): Random => {
  let state = start
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return below === 0 ? 0 : (state >>> 0) % below
  }
}
