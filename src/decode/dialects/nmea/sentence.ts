// Bytes cut into NMEA 0183 sentences (IEC 61162-1, 7.2): each checked on its own, so that what is damaged or no sentence
// costs itself alone. Tag blocks (IEC 61162-450, 7.2.3) are stepped over.

import { DecodeError } from '../../../core/errors.ts'
import { shortened } from '../../limits.ts'

export interface Sentence {
  /** Who speaks: GP, GN, II, WI, … */
  readonly talker: string
  /** RMC, GGA, … */
  readonly type: string
  /** Behind the address. */
  readonly fields: readonly string[]
}

export interface Sentences {
  readonly sentences: readonly Sentence[]
  readonly faults: readonly string[]
}

/** The standard allows 82 characters; receivers with more digits need about 120, a tag block as many again. */
const MAX_SENTENCE_LENGTH = 1_024

/** More than a receiver says in a minute. */
const MAX_SENTENCES = 1_000

/** 7.2.3.3: talker and sentence formatter. */
const ADDRESS = /^[A-Z][A-Z0-9][A-Z0-9]{3}$/
/** Proprietary: P, the maker's three letters, and what the maker likes. */
const PROPRIETARY = /^P[A-Z0-9]{1,20}$/
const PRINTABLE = /^[\x20-\x7e]*$/
const CHECKSUM = /^[0-9A-Fa-f]{2}$/
const TAG_BLOCK = /^\\[^\\]*\\$/

export const parseSentences = (text: string, checksumRequired: boolean): Sentences => {
  const sentences: Sentence[] = []
  const faults: string[] = []
  for (const line of text.split(/[\r\n]+/)) {
    const starts = [...line.matchAll(/[$!]/g)].map(({ index }) => index)
    const before = blanked(line.slice(0, starts[0] ?? line.length))
    if (before !== '' && !TAG_BLOCK.test(before)) faults.push(`${before.length} bytes are no sentence`)
    if (sentences.length + faults.length + starts.length > MAX_SENTENCES)
      throw new DecodeError(`the payload has more than ${MAX_SENTENCES} sentences, or what begins like one`)
    for (const [number, start] of starts.entries()) {
      const raw = blanked(line.slice(start, starts[number + 1] ?? line.length))
      // A tag block may also stand between two sentences of a line.
      const outcome = parseSentence(raw.replace(/\\[^\\]*\\$/, ''), checksumRequired)
      if (outcome.sentence !== undefined) sentences.push(outcome.sentence)
      if (outcome.fault !== undefined) faults.push(outcome.fault)
    }
  }
  return { sentences, faults }
}

// White space and the NULs that some receivers send at start-up.
const blanked = (text: string): string => {
  let start = 0
  let end = text.length
  while (start < end && isBlank(text.charCodeAt(start))) start++
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--
  return text.slice(start, end)
}
const isBlank = (code: number): boolean => code === 0 || code === 0x20 || code === 0x09

const parseSentence = (raw: string, checksumRequired: boolean): { sentence?: Sentence; fault?: string } => {
  if (raw.length > MAX_SENTENCE_LENGTH) return { fault: `a sentence has ${raw.length} characters` }
  const star = raw.indexOf('*')
  const body = raw.slice(1, star < 0 ? undefined : star)
  const [address = '', ...fields] = body.split(',')
  const shown = shortened(address)
  if (!PRINTABLE.test(body)) return { fault: `a sentence has bytes that are no text: ${shown}` }
  if (star >= 0) {
    const stated = raw.slice(star + 1, star + 3)
    if (!CHECKSUM.test(stated)) return { fault: `${shown}: the checksum is cut off` }
    const actual = xor(body)
    if (Number.parseInt(stated, 16) !== actual)
      return { fault: `${shown}: the checksum is ${stated}, but ${hex(actual)} would be right` }
  } else if (checksumRequired) return { fault: `${shown}: there is no checksum` }
  if (PROPRIETARY.test(address)) return {}
  if (!ADDRESS.test(address)) return { fault: `${shown} is not the address of a sentence` }
  const sentence = { talker: address.slice(0, 2), type: address.slice(2), fields }
  const behind = star < 0 ? 0 : blanked(raw.slice(star + 3)).length
  return behind === 0 ? { sentence } : { sentence, fault: `${behind} bytes are no sentence` }
}

// 7.2.3.2: exclusive or of all characters between $ and *.
const xor = (text: string): number => {
  let value = 0
  for (let index = 0; index < text.length; index++) value ^= text.charCodeAt(index)
  return value
}

const hex = (byte: number): string => byte.toString(16).toUpperCase().padStart(2, '0')
