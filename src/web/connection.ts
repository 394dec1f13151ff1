// The WebSocket to the gateway: connects for ever, with full-jitter back-off, and resumes at the seq where it stopped.
// It says what it is doing at any time, notices a peer that went silent, and keeps the token in memory only.

import type { Cell } from './cell.ts'
import { parseServerMessage, type Reading, type ServerMessage } from './protocol.ts'

export interface ConnectionState {
  readonly phase: 'connecting' | 'live' | 'reconnecting' | 'locked'
  /** When it came into this phase, by this browser's clock. */
  readonly sinceMs: number
  readonly reason?: string
}

export interface Missed {
  readonly messages: number
  readonly reason: string
}

export interface ConnectionEvents {
  onGateway(name: string): void
  onReadings(readings: readonly Reading[]): void
  /** It is another log than before: everything known is void. */
  onReset(): void
  onMissed(missed: Missed): void
}

const BACKOFF_BASE_MS = 500
/** Somebody looks at the page: a gateway that is back must be seen within seconds. */
const BACKOFF_CAP_MS = 10_000
/** Full jitter may draw zero; a refused connection must not become a loop without pause. */
const BACKOFF_FLOOR_MS = 100
/** A connection that lasted this long was a good one: the next failure starts with short delays again. */
const STABLE_MS = 10_000
const CONNECT_DEADLINE_MS = 10_000
/** After so much silence the page asks whether anybody is there. */
const SILENCE_MS = 15_000
const PONG_DEADLINE_MS = 8_000
const WATCH_INTERVAL_MS = 2_000
/** Up to so many messages are fetched one by one after a pause; beyond it the last values are the shorter way. */
const MAX_RESUME_MESSAGES = 10_000

const CLOSE_REASONS: ReadonlyMap<number, string> = new Map([
  [1001, 'the gateway is stopping'],
  [4400, 'the gateway did not understand this page; reload it'],
  [4429, 'too many pages are open'],
])
/** A gap of this reason held no message: the log skips seqs when it was not closed properly. */
const SKIPPED = 'unclean-stop'
const CLOSE_UNAUTHORIZED = 4401
/** This error is followed by the close code above. */
const UNAUTHORIZED = 'TG_UNAUTHORIZED'

export class Connection {
  readonly #url: string
  readonly #state: Cell<ConnectionState>
  readonly #events: ConnectionEvents
  #socket: WebSocket | undefined
  #retryTimer: number | undefined
  #watchTimer: number | undefined
  #attempt = 0
  #openedMs = 0
  #heardMs = 0
  #pingMs: number | undefined
  #seq: number | undefined
  #gateway: string | undefined
  #hello: (ServerMessage & { type: 'hello' }) | undefined
  #token: string | undefined

  constructor(url: string, state: Cell<ConnectionState>, events: ConnectionEvents) {
    this.#url = url
    this.#state = state
    this.#events = events
  }

  /** For requests beside the WebSocket. */
  get token(): string | undefined {
    return this.#token
  }

  start(): void {
    this.#watchTimer ??= setInterval(() => this.#watch(), WATCH_INTERVAL_MS)
    this.#connect()
  }

  /** The page came to the front, or the network came back: no reason to wait any longer. */
  wake(): void {
    if (this.#state.value.phase === 'locked') return
    if (this.#retryTimer !== undefined) this.#connect()
    else if (performance.now() - this.#heardMs > WATCH_INTERVAL_MS) this.#ping()
  }

  unlock(token: string): void {
    this.#token = token
    this.#enter('connecting')
    this.#connect()
  }

  /** Forgets the position and takes the last values anew. */
  refresh(): void {
    this.#seq = undefined
    this.#giveUp()
    this.#connect()
  }

  #connect(): void {
    clearTimeout(this.#retryTimer)
    this.#retryTimer = undefined
    this.#hello = undefined
    this.#pingMs = undefined
    this.#openedMs = this.#heardMs = performance.now()
    const socket = new WebSocket(this.#url)
    this.#socket = socket
    // Events of a socket that was given up are nobody's business any more.
    const current = (work: () => void) => {
      if (socket === this.#socket) work()
    }
    socket.onmessage = (event) => current(() => this.#heard(event.data))
    socket.onclose = (event) => current(() => this.#closed(event.code))
  }

  #heard(data: unknown): void {
    this.#heardMs = performance.now()
    this.#pingMs = undefined
    const message = typeof data === 'string' ? parseServerMessage(data) : undefined
    switch (message?.type) {
      case 'hello':
        this.#greeted(message)
        break
      case 'authorized':
        this.#subscribe()
        break
      case 'snapshot':
      case 'readings':
        this.#seq = Math.max(this.#seq ?? 0, message.seq)
        this.#events.onReadings(message.readings)
        break
      case 'gap':
        this.#seq = Math.max(this.#seq ?? 0, message.to)
        if (message.reason !== SKIPPED)
          this.#events.onMissed({ messages: message.to - message.from + 1, reason: message.reason })
        break
      case 'error':
        console.warn(`tidegate: ${message.code}: ${message.message}`)
        if (message.code !== UNAUTHORIZED) this.#failed()
        break
      default:
        break
    }
  }

  #greeted(hello: ServerMessage & { type: 'hello' }): void {
    // A seq is never used twice: a lower one than ours is another log under the same address.
    const other = this.#gateway !== undefined && (hello.gateway !== this.#gateway || hello.seq < (this.#seq ?? 0))
    if (other) {
      this.#seq = undefined
      this.#events.onReset()
    }
    this.#hello = hello
    this.#gateway = hello.gateway
    this.#events.onGateway(hello.gateway)
    if (hello.auth === 'none') this.#subscribe()
    else if (this.#token !== undefined) this.#send({ type: 'auth', token: this.#token })
    else this.#lock()
  }

  #subscribe(): void {
    const newest = this.#hello?.seq ?? 0
    const resumes = this.#seq !== undefined && newest - this.#seq <= MAX_RESUME_MESSAGES
    this.#send({ type: 'subscribe', id: 1, ...(resumes && { after: this.#seq }) })
    this.#enter('live')
  }

  #closed(code: number): void {
    this.#socket = undefined
    if (code === CLOSE_UNAUTHORIZED) {
      this.#lock('The gateway did not accept this token.')
      return
    }
    if (performance.now() - this.#openedMs > STABLE_MS) this.#attempt = 0
    const bound = Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** Math.min(this.#attempt, 10))
    this.#attempt++
    if (this.#state.value.phase === 'live') this.#enter('reconnecting', CLOSE_REASONS.get(code))
    clearTimeout(this.#retryTimer)
    this.#retryTimer = setTimeout(() => this.#connect(), BACKOFF_FLOOR_MS + Math.random() * bound)
  }

  /** The gateway wants a token; it waits only seconds for one, and people type longer. */
  #lock(reason?: string): void {
    this.#token = undefined
    this.#giveUp()
    this.#enter('locked', reason)
  }

  /** The subscription has failed: nothing would come any more. The next one asks for the last values, which need no log. */
  #failed(): void {
    this.#seq = undefined
    this.#giveUp()
    this.#closed(0)
  }

  #giveUp(): void {
    const socket = this.#socket
    this.#socket = undefined
    socket?.close()
  }

  #watch(): void {
    const now = performance.now()
    const socket = this.#socket
    if (socket === undefined) return
    const silentMs = now - this.#heardMs
    const deaf =
      this.#hello === undefined
        ? silentMs > CONNECT_DEADLINE_MS
        : this.#pingMs !== undefined && now - this.#pingMs > PONG_DEADLINE_MS
    if (deaf) {
      this.#giveUp()
      this.#closed(0)
    } else if (silentMs > SILENCE_MS) this.#ping()
  }

  #ping(): void {
    if (this.#hello === undefined || this.#pingMs !== undefined) return
    this.#pingMs = performance.now()
    this.#send({ type: 'ping' })
  }

  #send(message: object): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message))
  }

  #enter(phase: ConnectionState['phase'], reason?: string): void {
    this.#state.set({ phase, sinceMs: Date.now(), ...(reason !== undefined && { reason }) })
  }
}
