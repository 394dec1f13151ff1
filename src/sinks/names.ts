// Names on the wire: routing keys from the template, message ids, and what identifies a device in them. Deterministic,
// so that a message that is sent again looks the same.

import { createHash } from 'node:crypto'
import type { Outgoing } from './outgoing.ts'

export const DEFAULT_ROUTING_KEY = 'telemetry.{gateway}.{device}'
/** For the schema: placeholders are {gateway} and {device}, nothing else stands in braces. */
export const ROUTING_KEY_PATTERN = '^([^{}]|\\{(gateway|device)\\})*$'

/** AMQP 0-9-1 carries routing keys and message ids as short strings. */
const MAX_SHORT_STRING_BYTES = 255
/** '~' and the hash that stands for what was cut off. */
const HASH_DIGITS = 8
/** Devices whose names are remembered; a gateway with more spends a little time on hashing. */
const MAX_REMEMBERED_DEVICES = 10_000

export interface DeviceNames {
  readonly routingKey: string
  readonly hash: string
}

export class Names {
  readonly #gateway: string
  readonly #gatewayWord: string
  readonly #template: string
  readonly #devices = new Map<string, DeviceNames>()
  readonly lossKey: string

  constructor(gateway: string, template: string) {
    this.#gateway = gateway
    this.#gatewayWord = escapeWord(gateway)
    this.#template = template
    this.lossKey = shorten(`loss.${this.#gatewayWord}`)
  }

  device(device: string): DeviceNames {
    const known = this.#devices.get(device)
    if (known !== undefined) return known
    const words = device.split('/').map(escapeWord).join('.')
    const key = this.#template.replace(/\{(gateway|device)\}/g, (_, name) =>
      name === 'gateway' ? this.#gatewayWord : words,
    )
    const names = { routingKey: shorten(key), hash: hashOf(device) }
    if (this.#devices.size >= MAX_REMEMBERED_DEVICES) this.#devices.clear()
    this.#devices.set(device, names)
    return names
  }

  routingKey(message: Outgoing): string {
    return message.kind === 'loss' ? this.lossKey : this.device(message.device).routingKey
  }

  /** GATEWAY:FIRSTSEQ-LASTSEQ:DEVICE-HASH; a part of a seq that needs several messages has its number behind it. */
  messageId(message: Outgoing): string {
    const what = message.kind === 'loss' ? 'loss' : this.device(message.device).hash
    const part = message.part === 0 ? '' : `.${message.part}`
    return shorten(`${this.#gateway}:${message.first}-${message.last}:${what}${part}`)
  }
}

/**
 * One word of a routing key: what has a meaning there (. * # and %, the escape itself), white space and control characters
 * become %XX. Everything else stays readable.
 */
const escapeWord = (text: string): string =>
  text.replace(/[.*#%\s\p{C}]/gu, (character) => {
    let escaped = ''
    for (const byte of Buffer.from(character)) escaped += `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
    return escaped
  })

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, HASH_DIGITS)

/** Cut to a short string; a hash keeps two names apart that begin alike. */
const shorten = (text: string): string => {
  if (Buffer.byteLength(text) <= MAX_SHORT_STRING_BYTES) return text
  const kept = Buffer.from(text).subarray(0, MAX_SHORT_STRING_BYTES - HASH_DIGITS - 1)
  // A character or an escape that was cut through goes altogether.
  const whole = kept
    .toString()
    .replace(/\ufffd+$/, '')
    .replace(/%[0-9A-F]?$/, '')
  return `${whole}~${hashOf(text)}`
}
