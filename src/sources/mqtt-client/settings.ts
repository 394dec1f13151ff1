// What the configuration of an MQTT client says, completed.

import type { BrokerAddress } from './url.ts'

/** MQTT 3.1.1 or 5; `auto`: 5, and 3.1.1 where the broker does not speak it. */
export type Protocol = 'auto' | '3.1.1' | '5'

export interface TlsSettings {
  /** PEM texts. */
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  /** Whether a certificate that cannot be verified is refused. */
  readonly verify: boolean
}

export interface MqttClientSettings {
  readonly address: BrokerAddress
  readonly topics: readonly string[]
  readonly qos: 0 | 1 | 2
  readonly protocol: Protocol
  readonly clientId: string
  /** A session that the broker keeps while this client is away. */
  readonly persistent: boolean
  /** MQTT 5: how long the broker keeps it. */
  readonly sessionExpiryMs: number
  readonly keepAliveMs: number
  readonly connectTimeoutMs: number
  readonly maxPacketBytes: number
  readonly username?: string
  readonly password?: string
  readonly tls: TlsSettings
}
