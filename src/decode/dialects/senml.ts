// The dialect 'senml': a SenML Pack in JSON (RFC 8428), whatever the topic. What its names say about devices: core/senml.ts.

import type { DecoderPlugin } from '../../core/plugin-contract.ts'
import { resolveSenml } from '../../core/senml.ts'
import { parseJson } from '../json-text.ts'
import { payloadText } from '../payload.ts'
import { exactPack } from '../senml-pack.ts'

export const plugin: DecoderPlugin = {
  kind: 'decoder',
  type: 'senml',
  schema: { description: 'A SenML Pack (RFC 8428) in JSON', properties: {} },
  create: () => ({
    severalDevices: true,
    decode: ({ payload, device, receivedAt }) => {
      const text = payloadText(payload)
      return resolveSenml(exactPack(parseJson(text), text), device, receivedAt)
    },
  }),
}
