// Messages for decoders, and decodings in few words.

import type { Decodable, Decoding, Reading } from '../../src/core/contract.ts'
import type { DeviceProfile, ProfileRule } from '../../src/core/profile.ts'

const ARRIVAL = Date.UTC(2026, 10, 20, 10)

export const messageOn = (topic: string, payload: string | Buffer): Decodable => ({
  topic,
  payload: typeof payload === 'string' ? Buffer.from(payload) : payload,
  source: 'broker',
  receivedAt: ARRIVAL,
})

/** `name=value unit` of each reading, or the fault. */
export const brief = ({ readings, fault }: Decoding): readonly string[] => [
  ...readings.map(readingText),
  ...(fault === undefined ? [] : [`fault: ${fault}`]),
]

const readingText = ({ name, value, unit }: Reading): string =>
  `${name}=${JSON.stringify(value)}${unit === undefined ? '' : ` ${unit}`}`

export const profileOf = (
  name: string,
  rules: readonly ProfileRule[],
  more: Partial<DeviceProfile> = {},
): DeviceProfile => ({
  name,
  title: name,
  source: 'https://example.com/',
  about: 'A profile of the tests.',
  file: `${name}.yaml`,
  rules,
  examples: [],
  ...more,
})
