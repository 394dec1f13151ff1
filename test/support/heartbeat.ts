// An innocent client: it publishes a value every few milliseconds over MQTT and watches it come back over WebSocket. Whatever
// else happens to the gateway, its worst moments are known afterwards.

import { setTimeout as sleep } from 'node:timers/promises'
import { Publisher } from './broker-clients.ts'
import type { Gateway } from './gateway.ts'
import { Subscriber } from './subscriber.ts'
import { until } from './until.ts'

export interface HeartbeatReport {
  readonly sent: number
  /** From PUBLISH to PUBACK. */
  readonly worstAckMs: number
  readonly medianAckMs: number
  /** Values that did not come back over WebSocket. */
  readonly missing: number
  /** The longest time without any value over WebSocket. */
  readonly worstLiveGapMs: number
}

export interface Heartbeat {
  /** Ends it and says how it went; rejects when the client lost its connection. */
  stop(): Promise<HeartbeatReport>
}

export const startHeartbeat = async (gateway: Gateway, everyMs = 20): Promise<Heartbeat> => {
  const device = 'innocent/heart'
  const subscriber = await Subscriber.open(gateway.url)
  subscriber.subscribe({ devices: [device] })
  await until('the heartbeat is subscribed', () => subscriber.messages.some((message) => message.type === 'snapshot'))
  const publisher = await Publisher.open({ port: gateway.mqttPort, clientId: 'innocent' })
  const ending = new AbortController()
  const latencies: number[] = []
  let worstLiveGapMs = 0
  let lastLive = performance.now()
  subscriber.socket.on('message', () => {
    worstLiveGapMs = Math.max(worstLiveGapMs, performance.now() - lastLive)
    lastLive = performance.now()
  })

  const beat = async () => {
    const pending: Promise<unknown>[] = []
    for (let n = 0; !ending.signal.aborted; n++) {
      pending.push(publisher.publish(`${device}/beat`, String(n)).then((latency) => latencies.push(latency)))
      await sleep(everyMs)
    }
    await Promise.all(pending)
    return pending.length
  }
  const beating = beat()
  // Handled in stop(); a failure before it must not end the test process.
  beating.catch(() => undefined)
  return {
    stop: async () => {
      ending.abort()
      try {
        const sent = await beating
        const values = () => new Set(subscriber.readings().map((reading) => reading.value)).size
        await until('the last heartbeats come back', () => values() >= sent, 3_000).catch(() => undefined)
        const sorted = latencies.toSorted((a, b) => a - b)
        return {
          sent,
          worstAckMs: sorted.at(-1) ?? 0,
          medianAckMs: sorted[sorted.length >> 1] ?? 0,
          missing: sent - values(),
          worstLiveGapMs,
        }
      } finally {
        await publisher.close()
        await subscriber.close()
      }
    },
  }
}
