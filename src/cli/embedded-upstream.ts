// The upstream of a gateway that was given none: an AMQP 1.0 receiver in this process, which takes everything and counts it.

import { startListener } from '../upstream/listener.ts'

export interface EmbeddedUpstream {
  readonly url: string
  /** AMQP messages that came. */
  received(): number
  /** The configuration that sends to it, as YAML. */
  readonly configuration: string
  /** Idempotent. */
  close(): Promise<void>
}

const HOST = '127.0.0.1'

export const embeddedUpstream = async (): Promise<EmbeddedUpstream> => {
  let received = 0
  const listener = await startListener({
    host: HOST,
    port: 0, // only this process needs to know it
    onMessage: () => {
      received++
      return 'accepted'
    },
  })
  const url = `amqp://${HOST}:${listener.port}`
  return {
    url,
    received: () => received,
    configuration: `sinks: [{ name: upstream, type: amqp1, url: "${url}", address: telemetry }]`,
    close: () => listener.close(),
  }
}
