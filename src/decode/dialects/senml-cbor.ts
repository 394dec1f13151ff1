// The dialect 'senml-cbor': a SenML Pack in CBOR (RFC 8428, 6), whatever the topic. The generic decoder recognises such a Pack
// by itself; a profile names the dialect to have a fault where it is none, and for Packs with labels of extensions.

import type { DecoderPlugin } from '../../core/plugin-contract.ts'
import { resolveSenml } from '../../core/senml.ts'
import { packFromCbor } from '../senml-pack.ts'

export const plugin: DecoderPlugin = {
  kind: 'decoder',
  type: 'senml-cbor',
  schema: { description: 'A SenML Pack (RFC 8428) in CBOR', properties: {} },
  create: () => ({
    severalDevices: true,
    decode: ({ payload, device, receivedAt }) => resolveSenml(packFromCbor(payload), device, receivedAt),
  }),
}
