// A dialect under test: its options checked and completed by its schema, its messages by the way of the router.

import { validator } from '../../src/config/validation.ts'
import type { Decodable, Decoding } from '../../src/core/contract.ts'
import type { ProfileRule } from '../../src/core/profile.ts'
import { createRouter } from '../../src/decode/router.ts'
import { decoderPlugins } from '../../src/plugins.ts'
import { messageOn, profileOf } from './decoding.ts'

const decoders = await decoderPlugins([])

/** A decoder of payloads on the topic `house/meter`; throws what is wrong with the options. */
export const dialectDecoder = (
  type: string,
  options: Readonly<Record<string, unknown>> = {},
  rule: Partial<ProfileRule> = {},
): ((payload: string | Buffer, more?: Partial<Decodable>) => Decoding) => {
  const schema = decoders.get(type)?.schema
  const completed = structuredClone(options)
  const [finding] = validator({ type: 'object', additionalProperties: false, ...schema })(completed)
  if (finding !== undefined) throw new Error(finding.message)
  const profile = profileOf('tested', [{ topics: ['{device...}'], decoder: type, options: completed, ...rule }])
  const router = createRouter([profile], { decoders })
  return (payload, more = {}) => router.decode({ ...messageOn('house/meter', payload), ...more })
}
