// When to commit. Waiting is a bet that company comes and shares the sync; whether it pays is learned from what waiting
// brought. Clients that wait for their PUBACK bring nobody while they are made to wait, streams of sensors do. Pure: the
// caller gives the time, and asks again when a turn of the event loop or a wait is over. No wait is longer than commitDelay.

/** A wait pays when it brings at least a third as many messages as wait already: a quarter of the syncs saved. */
const PAYS = 1 / 3
/** What a wait brought counts at most this much, so that one great success does not hide many failures. */
const MAX_WORTH = 1
/** Company is believed at once, its absence after a few waits: a sync too many wears the flash, a wait too many only delays. */
const LEARN_UP = 1 / 2
const LEARN_DOWN = 1 / 3
/** A bet that stopped to pay is tried again after so many chances, doubling from the first to the last. */
const FIRST_PROBE = 4
const LAST_PROBE = 512
/** And when as many times the time at stake has passed, up to this: in the end, probing takes 3 % of the time at most. */
const MAX_REST = 32
/** So many usual gaps without a message are a silence. Of random arrivals, one gap in 3,000 is as long. */
const SILENT_GAPS = 8
/** Timers are no finer, and a busy event loop is silent for as long. */
const MIN_SILENCE_MS = 1
/** When gaps become so many times longer or shorter, what was learned about waiting was learned about others. */
const OTHERS_FACTOR = 4
/** Below this share of messages that were followed by another one within the delay, nobody is to be expected. */
const RARELY_FOLLOWED = 1 / 16
/** Running means are over so many values. */
const MEAN_OF = 8

export class Pacing {
  readonly #delayMs: number
  /** From the first message on. */
  readonly #company = new Bet(0)
  /** From a silence on; the first wait goes on to its end. */
  readonly #latecomers = new Bet(PAYS)
  /** Running mean of the time between messages, without the time that senders had to wait for us. */
  #gapMs: number
  #gaps = 0
  #lastMs = Number.NEGATIVE_INFINITY
  /** Share of the messages that were followed by another within the delay, whether they waited or not. */
  #followed = 0
  #isFollowed = true
  #state: 'idle' | 'new' | 'waiting' | 'patient' = 'idle'
  #startMs = 0
  /** How many waited when the wait began, and when the silence did. */
  #atStart = 0
  #atSilence = 0

  constructor(commitDelayMs: number) {
    this.#delayMs = commitDelayMs
    this.#gapMs = commitDelayMs
  }

  /** A message came in. */
  arrived(nowMs: number): void {
    const gapMs = nowMs - this.#lastMs
    this.#lastMs = nowMs
    // A longer gap lies in no wait.
    if (gapMs <= this.#delayMs) {
      if (this.#gaps < MEAN_OF) this.#gaps++
      this.#gapMs += (gapMs - this.#gapMs) / this.#gaps
    }
    if (!this.#isFollowed && nowMs - this.#startMs <= this.#delayMs) this.#follow(1)
    if (this.#state !== 'idle') return
    if (!this.#isFollowed) this.#follow(0)
    this.#isFollowed = false
    this.#state = 'new'
    this.#startMs = nowMs
  }

  /** How much longer the `waiting` messages should wait; 0: commit them now. */
  waitMs(nowMs: number, waiting: number): number {
    const leftMs = this.#startMs + this.#delayMs - nowMs
    if (leftMs <= 0 || this.#state === 'idle') return 0
    const patienceMs = Math.max(MIN_SILENCE_MS, SILENT_GAPS * this.#gapMs)
    if (this.#state === 'new') {
      const promising = this.#followed >= RARELY_FOLLOWED
      if (!this.#company.isWorth(promising, nowMs, Math.min(patienceMs, leftMs), this.#gapMs)) return 0
      this.#state = 'waiting'
      this.#atStart = waiting
    }
    if (this.#state === 'waiting') {
      const silentMs = this.#lastMs + patienceMs - nowMs
      // Asked again soon at first, then less often: what the gap is like may only show itself now.
      if (silentMs > 0) return Math.min(silentMs, leftMs, Math.max(MIN_SILENCE_MS, nowMs - this.#startMs))
      if (!this.#latecomers.isWorth(true, nowMs, leftMs, this.#gapMs)) return 0
      this.#state = 'patient'
      this.#atSilence = waiting
    }
    return leftMs
  }

  /** The `waiting` messages are taken up by a commit, because their wait is over or because they are many. */
  committing(waiting: number): void {
    if (this.#state === 'patient') this.#latecomers.brought((waiting - this.#atSilence) / this.#atSilence)
    if (this.#state === 'patient' || this.#state === 'waiting')
      this.#company.brought((waiting - this.#atStart) / this.#atStart)
    this.#state = 'idle'
  }

  /** A commit is over, and everybody knows: who waited for that may send again only now. */
  committed(nowMs: number): void {
    this.#lastMs = nowMs
  }

  #follow(hit: 0 | 1): void {
    this.#isFollowed = true
    this.#followed += (hit - this.#followed) / MEAN_OF
  }
}

class Bet {
  /** Running mean of what it brought, as a share of what waited. */
  #worth: number
  /** After how many chances it is tried again, and how many there were. */
  #interval = 1
  #chances = 0
  /** When it was last made, and the usual gap then. */
  #madeMs = Number.NEGATIVE_INFINITY
  #gapMs = 0

  constructor(worth: number) {
    this.#worth = worth
  }

  /** Whether to make it now: because it pays, or, where somebody may come, to see whether it would. */
  isWorth(promising: boolean, nowMs: number, atStakeMs: number, usualGapMs: number): boolean {
    const gapMs = Math.max(usualGapMs, MIN_SILENCE_MS / SILENT_GAPS)
    if (this.#worth < PAYS) {
      if (!promising) return false
      const others = gapMs > this.#gapMs * OTHERS_FACTOR || gapMs * OTHERS_FACTOR < this.#gapMs
      if (others) this.#interval = FIRST_PROBE
      const rest = Math.min(this.#interval, MAX_REST)
      const due = ++this.#chances >= this.#interval && nowMs - this.#madeMs >= rest * atStakeMs
      if (!others && !due) return false
    }
    this.#chances = 0
    this.#madeMs = nowMs
    this.#gapMs = gapMs
    return true
  }

  brought(share: number): void {
    const worth = Math.min(share, MAX_WORTH)
    if (worth >= PAYS) this.#interval = FIRST_PROBE
    else if (this.#worth < PAYS) this.#interval = Math.min(this.#interval * 2, LAST_PROBE)
    this.#worth += (worth - this.#worth) * (worth > this.#worth ? LEARN_UP : LEARN_DOWN)
  }
}
