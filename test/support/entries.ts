// Entries and decodings for tests of what reads the log.

import type { Decoding, Entry, Reading } from '../../src/core/contract.ts'

export const BOOT_ID = '00000000-0000-4000-8000-000000000001'

export const entryOf = (seq: number, fields: Partial<Entry> = {}): Entry => ({
  seq,
  kind: 'message',
  topic: 'a/x',
  payload: Buffer.from('1'),
  source: 'broker',
  qos: 1,
  retain: false,
  receivedAt: Date.UTC(2026, 10, 20, 10) + seq * 1_000,
  monotonicMs: seq * 1_000,
  bootId: BOOT_ID,
  ...fields,
})

export const decodingOf = (device: string, values: Readonly<Record<string, Reading['value']>>): Decoding => ({
  profile: 'generic',
  device,
  readings: Object.entries(values).map(([name, value]) => ({ device, name, value })),
})
