// One WebSocket client: the protocol of /api/v1/live. It is told what is wrong and stays connected; only what no client sends
// by mistake ends the connection. What waits in its socket is bounded: a client that does not read is not read from either.

import { type RawData, WebSocket } from 'ws'
import { describe, TidegateError } from '../core/errors.ts'
import { Follower } from '../live/follower.ts'
import { sendCommand } from './commands.ts'
import type { ApiContext } from './context.ts'
import { type ClientMessage, parseClientMessage, type RequestId, subscriptionFrom } from './live-protocol.ts'
import { badRequest, toTidegateError } from './problem.ts'
import { HIGH_WATER_BYTES, type Stream } from './streams.ts'
import { SubscriptionOutlet } from './subscription-outlet.ts'

const CLOSE = { goingAway: 1001, malformed: 4400, unauthorized: 4401, tooSlow: 4408 } as const
/** Subscriptions of one connection; each is matched against what arrives. */
const MAX_SUBSCRIPTIONS = 64
/** Commands that wait for a device's source at a time. */
const MAX_PENDING_COMMANDS = 16

export class LiveConnection implements Stream {
  readonly #ws: WebSocket
  readonly #context: ApiContext
  readonly #followers = new Map<RequestId, Follower>()
  #authorized: boolean
  /** For the records. */
  #caller: string
  #authorizeTimer: NodeJS.Timeout | undefined
  #pendingCommands = 0
  #countedBytes = 0
  #closed = false
  #heardMs = performance.now()

  /** `authorization`: the header that it came with, if any. */
  constructor(ws: WebSocket, context: ApiContext, authorization: string | undefined) {
    this.#ws = ws
    this.#context = context
    this.#authorized = context.access.authorized(authorization)
    this.#caller = context.access.caller('ws', authorization)
  }

  open(): void {
    const { limits, options, streams } = this.#context
    const ws = this.#ws
    ws.on('message', (data, isBinary) => this.#received(data, isBinary))
    ws.on('ping', (data: Buffer) => this.#pinged(data))
    ws.on('pong', () => this.#heard())
    ws.on('close', () => this.#release())
    // What is wrong with a frame is answered by ws itself (1002, 1007, 1009); a broken socket needs no answer.
    ws.on('error', (error) => options.logger.debug({ error: describe(error) }, 'websocket failed'))
    streams.add(this)
    const auth = this.#authorized ? 'none' : 'required'
    this.#say({ type: 'hello', gateway: options.gateway, seq: options.live.seq, auth })
    if (this.#authorized) return
    const onSlow = () => this.#end(CLOSE.tooSlow, 'no token in time')
    this.#authorizeTimer = setTimeout(onSlow, limits.authorizeMs)
  }

  heartbeat(): void {
    const { limits, streams } = this.#context
    if (!this.ready) return // what waits in the socket has a timeout of its own, which knows about progress
    if (performance.now() - this.#heardMs > limits.stallMs) streams.stalled(this)
    else this.#ws.ping(undefined, false, () => this.#taken())
  }

  /** The socket has taken nothing for too long. */
  stalled(): void {
    this.#context.streams.stalled(this)
  }

  close(): void {
    this.#end(CLOSE.goingAway, 'the gateway is stopping')
  }

  destroy(): void {
    this.#ws.terminate()
    this.#release()
  }

  /** Whether the client has taken most of what it was sent. */
  get ready(): boolean {
    return this.#ws.readyState === WebSocket.OPEN && this.#ws.bufferedAmount < HIGH_WATER_BYTES
  }

  send(data: string | Buffer): void {
    if (this.#ws.readyState !== WebSocket.OPEN) return
    this.#ws.send(data, { binary: false }, () => this.#taken())
    this.#count(this.#ws.bufferedAmount)
  }

  #received(data: RawData, isBinary: boolean): void {
    if (this.#closed) return
    this.#heard()
    if (isBinary) {
      this.#end(CLOSE.malformed, 'messages are JSON texts')
      return
    }
    let id: RequestId | undefined
    try {
      const message = parseClientMessage(data.toString())
      id = message.id
      this.#handle(message)
    } catch (error) {
      this.#complain(id, error)
    }
  }

  #handle(message: ClientMessage): void {
    if (message.type === 'auth') this.#authorize(message.members.get('token'))
    else if (!this.#authorized) this.#refuse()
    else if (message.type === 'ping') this.#say({ type: 'pong' })
    else if (message.id === undefined) throw badRequest(`'${message.type.slice(0, 40)}' needs an 'id'`)
    else if (message.type === 'subscribe') this.#subscribe(message.id, message)
    else if (message.type === 'unsubscribe') this.#unsubscribe(message.id)
    else if (message.type === 'command') this.#command(message.id, message)
    else throw badRequest(`there is no message type '${message.type.slice(0, 40)}'`)
  }

  #authorize(token: unknown): void {
    const { access } = this.#context
    if (!this.#authorized && (typeof token !== 'string' || !access.tokenValid(token))) {
      this.#refuse()
      return
    }
    this.#authorized = true
    const name = typeof token === 'string' ? access.tokenName(token) : undefined
    if (name !== undefined) this.#caller = `ws:${name}`
    clearTimeout(this.#authorizeTimer)
    this.#say({ type: 'authorized' })
  }

  #refuse(): void {
    const error = new TidegateError('TG_UNAUTHORIZED', 'the first message has to carry a valid token')
    this.#context.options.meter.add('api_refused_total', { reason: error.code })
    this.#say({ type: 'error', code: error.code, message: error.message })
    this.#end(CLOSE.unauthorized, 'not authorized')
  }

  #subscribe(id: RequestId, { members }: ClientMessage): void {
    if (this.#followers.has(id)) throw badRequest(`id ${JSON.stringify(id)} is subscribed already`)
    if (this.#followers.size >= MAX_SUBSCRIPTIONS)
      throw new TidegateError('TG_TOO_MANY', `a connection has at most ${MAX_SUBSCRIPTIONS} subscriptions`)
    const { after, everyMs, selection } = subscriptionFrom(members)
    const { options, streams } = this.#context
    const outlet = new SubscriptionOutlet(this, id, streams, options.meter)
    const follower = new Follower({ live: options.live, selection, everyMs, outlet })
    this.#followers.set(id, follower)
    follower.start(after).catch((error: unknown) => {
      if (this.#followers.get(id) !== follower) return // it was closed meanwhile
      this.#unsubscribe(id)
      this.#complain(id, error)
    })
  }

  #unsubscribe(id: RequestId): void {
    const follower = this.#followers.get(id)
    if (follower === undefined) throw new TidegateError('TG_NOT_FOUND', `id ${JSON.stringify(id)} is not subscribed`)
    this.#followers.delete(id)
    follower.close()
  }

  #command(id: RequestId, { members }: ClientMessage): void {
    // The message's id names the answer, not the command.
    const { device, type: _, id: __, ...body } = Object.fromEntries(members)
    if (this.#pendingCommands >= MAX_PENDING_COMMANDS)
      throw new TidegateError('TG_TOO_MANY', `${MAX_PENDING_COMMANDS} commands wait already`)
    this.#pendingCommands++
    sendCommand(this.#context.options.commands, device, body, this.#caller)
      .then((command) => this.#say({ type: 'accepted', id, command }))
      .catch((error: unknown) => this.#complain(id, error))
      .finally(() => this.#pendingCommands--)
  }

  #complain(id: RequestId | undefined, error: unknown): void {
    const known = toTidegateError(error) ?? new TidegateError('TG_INTERNAL', 'a fault inside the gateway')
    if (known.code === 'TG_INTERNAL')
      this.#context.options.logger.error({ error: describe(error) }, 'websocket request failed')
    this.#context.options.meter.add('api_refused_total', { reason: known.code })
    this.#say({ type: 'error', id, code: known.code, message: known.message })
  }

  #say(message: object): void {
    this.send(JSON.stringify(message))
    // Answers are as many as the client's messages: no more of these until it takes what it has.
    if (!this.ready) this.#ws.pause()
  }

  #pinged(data: Buffer): void {
    this.#heard()
    if (this.ready) this.#ws.pong(data, false, () => this.#taken())
    else this.#ws.pause()
  }

  #heard(): void {
    this.#heardMs = performance.now()
  }

  /** The kernel has taken something of what was sent. */
  #taken(): void {
    this.#count(this.#closed ? 0 : this.#ws.bufferedAmount)
    if (this.#closed || !this.ready) return
    if (this.#ws.isPaused) this.#ws.resume()
    for (const follower of this.#followers.values()) follower.drained()
  }

  #count(bytes: number): void {
    this.#context.streams.buffered(bytes - this.#countedBytes)
    this.#countedBytes = bytes
  }

  #end(code: number, reason: string): void {
    if (this.#closed) return
    this.#ws.resume() // or the client's own close frame would never be read
    this.#ws.close(code, reason)
    this.#stop()
  }

  #stop(): void {
    this.#closed = true
    clearTimeout(this.#authorizeTimer)
    for (const follower of this.#followers.values()) follower.close()
    this.#followers.clear()
  }

  #release(): void {
    this.#stop()
    this.#count(0)
    this.#context.streams.remove(this)
  }
}
