// What arrived, compared with what was acknowledged: nothing missing, no seq used twice, and duplicates only under the same seq.

import type { Reading } from './gateway.ts'
import type { Load } from './load.ts'

type Arrived = Pick<Reading, 'seq' | 'device' | 'name' | 'value'>

export interface Account {
  /** `device n` of acknowledged messages that did not arrive. */
  readonly missing: readonly string[]
  /** Copies beyond the first with the same seq. */
  readonly duplicates: number
  /** Messages that arrived under two seqs, and seqs that stand for two messages. */
  readonly confusions: readonly string[]
  /** Devices whose numbers did not arrive in ascending order, duplicates left out. */
  readonly misordered: readonly string[]
  readonly seqs: ReadonlySet<number>
}

/** Looks at the readings named `n` of the load's devices. */
export const account = (load: Load, arrived: readonly Arrived[]): Account => {
  const seqOf = new Map<string, number>()
  const messageOf = new Map<number, string>()
  const newest = new Map<string, number>()
  const confusions: string[] = []
  const misordered = new Set<string>()
  let duplicates = 0
  for (const { seq, device, name, value } of arrived) {
    if (name !== 'n' || typeof value !== 'number') continue
    const message = `${device} ${value}`
    const knownSeq = seqOf.get(message)
    const knownMessage = messageOf.get(seq)
    if (knownSeq === seq) duplicates++
    else if (knownSeq !== undefined) confusions.push(`${message} has seqs ${knownSeq} and ${seq}`)
    if (knownMessage !== undefined && knownMessage !== message) {
      confusions.push(`seq ${seq} is ${knownMessage} and ${message}`)
    }
    if (knownSeq === undefined) {
      if (value < (newest.get(device) ?? -1)) misordered.add(device)
      newest.set(device, value)
    }
    seqOf.set(message, seq)
    messageOf.set(seq, message)
  }
  const missing: string[] = []
  for (const [device, numbers] of load.acknowledged) {
    for (const n of numbers) if (!seqOf.has(`${device} ${n}`)) missing.push(`${device} ${n}`)
  }
  return { missing, duplicates, confusions, misordered: [...misordered], seqs: new Set(messageOf.keys()) }
}

/** Seqs from 1 to `last` of which nobody upstream has heard: neither a reading nor a mark tells what became of them. */
export const unaccounted = (
  last: number,
  seqs: ReadonlySet<number>,
  marks: readonly { readonly first: number; readonly last: number }[],
): readonly number[] => {
  const told = new Set(seqs)
  for (const mark of marks) for (let seq = mark.first; seq <= mark.last; seq++) told.add(seq)
  return Array.from({ length: last }, (_, index) => index + 1).filter((seq) => !told.has(seq))
}
