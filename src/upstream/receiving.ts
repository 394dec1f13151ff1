// The far end's way in: an AMQP 1.0 listener, or the consumer of an AMQP 0-9-1 queue that comes back after the broker did.

import type { TidegateError } from '../core/errors.ts'
import { describe } from '../core/errors.ts'
import { type Backoff, delay, retryDelayMs } from '../core/time.ts'
import { type Binding, type Consumer, startConsumer } from './consumer.ts'
import type { Incoming, Outcome } from './incoming.ts'
import { startListener } from './listener.ts'

export type ReceivingFrom =
  | { readonly kind: 'listen'; readonly host: string; readonly port: number }
  | { readonly kind: 'queue'; readonly url: string; readonly queue: string; readonly bindings: readonly Binding[] }

export interface Receiving {
  /** Taken when it returns or resolves; meanwhile only a bounded number of further ones comes. */
  readonly onMessage: (message: Incoming) => Promise<void> | undefined
  /** One line about where messages come from, or why they do not. */
  readonly onNote: (note: string) => void
}

const BACKOFF: Backoff = { baseMs: 250, capMs: 10_000 }

/** Resolves once the signal aborts. Rejects when it cannot even begin: a wrong address, a queue that is not there. */
export const receive = async (from: ReceivingFrom, receiving: Receiving, signal: AbortSignal): Promise<void> => {
  const onMessage = async (message: Incoming): Promise<Outcome> => {
    await receiving.onMessage(message)
    return 'accepted'
  }
  if (from.kind === 'listen') {
    const listener = await startListener({
      host: from.host,
      port: from.port,
      onMessage,
      onFault: (reason) => receiving.onNote(`a sender was refused: ${reason}`),
    })
    receiving.onNote(`listening for AMQP 1.0 on amqp://${listener.host}:${listener.port}`)
    await aborted(signal)
    await listener.close()
    return
  }
  let consumer: Consumer | undefined = await startConsumer({ ...from, onMessage })
  const ending = aborted(signal).then(noError)
  receiving.onNote(`receiving from queue '${from.queue}'`)
  for (let attempt = 0; !signal.aborted; ) {
    if (consumer !== undefined) {
      attempt = 0
      const lost = await Promise.race([consumer.ended.then(noError, asError), ending])
      await consumer.close()
      consumer = undefined
      if (lost !== undefined && !signal.aborted) receiving.onNote(`${lost.message}; waiting for it`)
      continue
    }
    await delay(retryDelayMs(attempt++, BACKOFF), signal).catch(() => undefined) // aborted: the loop ends
    if (signal.aborted) return
    try {
      // What was declared once is there, or was taken away on purpose.
      consumer = await startConsumer({ ...from, bindings: [], onMessage })
      receiving.onNote(`receiving from queue '${from.queue}' again`)
    } catch (error) {
      if (attempt === 1) receiving.onNote(describe(error))
    }
  }
  await consumer?.close()
}

const noError = (): undefined => undefined
const asError = (error: TidegateError): TidegateError => error

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
