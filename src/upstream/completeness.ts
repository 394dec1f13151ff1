// Proves from seqs alone that everything came: per gateway what arrived, what a loss mark explains, what is missing without
// an explanation, what came twice and what came out of order within its lane. Pure; memory is bounded whatever comes.

import type { Lane, Seq } from '../core/contract.ts'
import type { Range } from '../core/log-contract.ts'
import { mostAffected } from '../core/loss.ts'
import type { Delivered } from './delivered.ts'
import { Explanations } from './explanations.ts'
import { RangeSet } from './range-set.ts'

export interface GatewayReport {
  readonly gateway: string
  /** Lowest and highest seq that was heard of. */
  readonly first: Seq
  readonly last: Seq
  /** Messages of devices, readings and loss marks that came, duplicates included. */
  readonly messages: number
  readonly readings: number
  readonly marks: number
  /** Seqs that arrived with readings. */
  readonly arrived: number
  /** Seqs between first and last that neither arrived nor are explained. */
  readonly missing: number
  /** Where they are; at most MAX_REPORTED_GAPS, the count above is exact. */
  readonly gaps: readonly Range[]
  /** Seqs that only a loss mark accounts for, by its reason. */
  readonly explained: Readonly<Record<string, number>>
  /** Messages lost by reason, as the log's own marks say; also those that never had a seq. Each mark counts once. */
  readonly lost: Readonly<Record<string, number>>
  /** The same by device, the most affected first, as far as the marks name devices. */
  readonly lostDevices: Readonly<Record<string, number>>
  /** Seqs of a device that came again. */
  readonly duplicates: number
  /** Seqs of a device that came after a higher one of the same device and lane, for the first time. */
  readonly reordered: number
}

export interface CompletenessReport {
  readonly complete: boolean
  readonly gateways: readonly GatewayReport[]
  /** Messages that no gateway of ours wrote. */
  readonly foreign: number
}

/** Holes remembered for each gateway; beyond them the oldest count as missing for good. */
const MAX_RANGES = 50_000
const MAX_REPORTED_GAPS = 100
/** Seqs of a device that are remembered exactly, for all gateways together: twice this number at most. */
const MAX_RECENT = 200_000
/** Devices whose newest seq is remembered, for all gateways together. */
const MAX_DEVICES = 100_000

interface Account {
  readonly arrived: RangeSet
  readonly accounted: RangeSet
  readonly explanations: Explanations
  first: Seq
  last: Seq
  messages: number
  readings: number
  marks: number
  duplicates: number
  reordered: number
}

export class Completeness {
  readonly #accounts = new Map<string, Account>()
  /** Two generations: when the young one is full it becomes the old one, and the old one is forgotten. */
  #young = new Set<string>()
  #old = new Set<string>()
  readonly #newest = new Map<string, Seq>()
  #foreign = 0

  add(delivered: Delivered): void {
    if (delivered.kind === 'foreign') {
      this.#foreign++
      return
    }
    const account = this.#account(delivered.gateway)
    if (delivered.kind === 'loss') {
      for (const mark of delivered.marks) {
        account.marks++
        // What a mark of the log tells may have come, or been explained, long before anybody listened here.
        if (mark.seq === undefined) extend(account, mark.first, mark.last)
        if (account.explanations.add(mark)) account.accounted.add(mark.first, mark.last)
      }
      return
    }
    account.messages++
    account.readings += delivered.readings.length
    let before: Seq | undefined
    for (const { seq } of delivered.readings) {
      // Readings of one seq stand together.
      if (seq === before) continue
      before = seq
      const part = seq === delivered.first ? delivered.part : 0
      this.#arrive(account, delivered.gateway, delivered.device, delivered.lane, seq, part)
    }
  }

  report(): CompletenessReport {
    const gateways: GatewayReport[] = []
    for (const [gateway, account] of this.#accounts) gateways.push(reportOf(gateway, account))
    gateways.sort((left, right) => (left.gateway < right.gateway ? -1 : 1))
    return { complete: gateways.every(({ missing }) => missing === 0), gateways, foreign: this.#foreign }
  }

  #arrive(account: Account, gateway: string, device: string, lane: Lane, seq: Seq, part: number): void {
    extend(account, seq, seq)
    const isNew = account.arrived.add(seq, seq) > 0
    account.accounted.add(seq, seq)
    // One seq may bring readings of several devices: only the same device again is a duplicate.
    const key = `${seq} ${part} ${gateway} ${device}`
    if (this.#young.has(key) || this.#old.has(key)) {
      account.duplicates++
      return
    }
    this.#remember(key)
    // What arrived so long ago that it is no longer remembered exactly.
    const forgotten = !isNew && seq < account.last - MAX_RECENT
    if (forgotten) {
      account.duplicates++
      return
    }
    const laneKey = `${lane} ${gateway} ${device}`
    const newest = this.#newest.get(laneKey) ?? 0
    if (seq < newest) account.reordered++
    else this.#newest.set(laneKey, seq)
    if (this.#newest.size > MAX_DEVICES) this.#newest.clear()
  }

  #remember(key: string): void {
    if (this.#young.size >= MAX_RECENT) {
      this.#old = this.#young
      this.#young = new Set()
    }
    this.#young.add(key)
  }

  #account(gateway: string): Account {
    let account = this.#accounts.get(gateway)
    if (account === undefined) {
      account = {
        arrived: new RangeSet(MAX_RANGES),
        accounted: new RangeSet(MAX_RANGES),
        explanations: new Explanations(),
        first: Number.POSITIVE_INFINITY,
        last: 0,
        messages: 0,
        readings: 0,
        marks: 0,
        duplicates: 0,
        reordered: 0,
      }
      this.#accounts.set(gateway, account)
    }
    return account
  }
}

const extend = (account: Account, first: Seq, last: Seq): void => {
  if (last < first) return
  account.first = Math.min(account.first, first)
  account.last = Math.max(account.last, last)
}

const reportOf = (gateway: string, account: Account): GatewayReport => {
  const { arrived, explanations, messages, readings, marks, duplicates, reordered, last } = account
  const first = Math.min(account.first, last)
  const accounted = account.accounted.copy()
  const explained = explanations.settle(arrived, accounted)
  const holes = accounted.holes(first, last)
  let missing = accounted.forgotten
  for (const hole of holes) missing += hole.last - hole.first + 1
  return {
    gateway,
    first,
    last,
    messages,
    readings,
    marks,
    arrived: arrived.ranges.reduce((sum, range) => sum + range.last - range.first + 1, -arrived.forgotten),
    missing,
    gaps: holes.slice(0, MAX_REPORTED_GAPS),
    explained,
    lost: Object.fromEntries(explanations.lost),
    lostDevices: mostAffected(explanations.lostDevices) ?? {},
    duplicates,
    reordered,
  }
}
