// CBOR (RFC 8949) to values, for payloads from strangers: maps become Map, so that no key can mean anything to JavaScript, a
// key may stand once, nesting and the number of items are bounded, and every failure is a DecodeError.

import { decode, type Token, Tokenizer } from 'cborg'
import { DecodeError } from '../core/errors.ts'

/** Nothing that is decoded here nests deeper: array, record, decimal fraction. */
const MAX_DEPTH = 8
/** Data items of one payload: 5,000 SenML records with twenty labels. An empty array is one byte, and much more in memory. */
const MAX_ITEMS = 200_000
/** A number with a larger exponent is no finite double, whatever its mantissa. */
const MAX_EXPONENT = 400

/** Throws DecodeError. Integers that no double holds are bigint; tags are refused but for those of numbers. */
export const decodeCbor = (payload: Buffer): unknown => {
  const tokens = new BoundedTokens(payload)
  try {
    return decode(payload, {
      useMaps: true,
      rejectDuplicateMapKeys: true,
      tokenizer: tokens,
      tags: {
        2: (content) => bignum(content()), // RFC 8949, 3.4.3
        3: (content) => -1n - bignum(content()),
        4: (content) => decimalFraction(content()), // RFC 8949, 3.4.4; RFC 8428, 6
      },
    })
  } catch (error) {
    if (error instanceof DecodeError) throw error
    const reason = error instanceof Error ? error.message.replace(/^CBOR decode error: */, '') : String(error)
    throw new DecodeError(`the payload is not valid CBOR: ${reason}, near byte ${tokens.pos()}`)
  }
}

/** Refuses what nests too deep or holds too much before anything is built of it. */
class BoundedTokens {
  readonly #tokens: Tokenizer
  /** Items that each open container still waits for; Infinity where a break ends it. */
  readonly #open: number[] = []
  #items = 0

  constructor(bytes: Buffer) {
    this.#tokens = new Tokenizer(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length), {
      allowIndefinite: true,
      allowBigInt: true,
    })
  }

  pos(): number {
    return this.#tokens.pos()
  }

  done(): boolean {
    return this.#tokens.done()
  }

  next(): Token {
    const token = this.#tokens.next()
    if (++this.#items > MAX_ITEMS) throw new DecodeError(`the payload has more than ${MAX_ITEMS} data items`)
    const { name } = token.type
    if (name === 'break') {
      this.#open.pop()
      this.#close()
      return token
    }
    const last = this.#open.length - 1
    if (last >= 0) this.#open[last] = (this.#open[last] ?? 0) - 1
    const items =
      name === 'array' ? Number(token.value) : name === 'map' ? 2 * Number(token.value) : name === 'tag' ? 1 : 0
    if (items > 0) {
      if (this.#open.push(items) > MAX_DEPTH) throw new DecodeError(`the payload nests deeper than ${MAX_DEPTH} levels`)
    } else {
      this.#close()
    }
    return token
  }

  /** Containers that have all their items are left. */
  #close(): void {
    while (this.#open.at(-1) === 0) this.#open.pop()
  }
}

const bignum = (content: unknown): bigint => {
  if (!(content instanceof Uint8Array) || content.length > 64)
    throw new DecodeError('the payload has a bignum that is no byte string of at most 64 bytes')
  return content.length === 0 ? 0n : BigInt(`0x${Buffer.from(content).toString('hex')}`)
}

const decimalFraction = (content: unknown): number => {
  const [exponent, mantissa, ...rest]: unknown[] = Array.isArray(content) ? content : []
  const whole = typeof mantissa === 'bigint' || Number.isInteger(mantissa)
  if (typeof exponent !== 'number' || Math.abs(exponent) > MAX_EXPONENT || !whole || rest.length > 0)
    throw new DecodeError('the payload has a decimal fraction that is no pair of an exponent and a mantissa')
  return Number(`${mantissa}e${exponent}`)
}
