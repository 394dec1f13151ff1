import { test } from 'tap'
import { CHECKSUM_NAMES, type ChecksumName, checksums } from '../../src/decode/checksum.ts'

/** Of the nine digits: the `check` values of the catalogue of parametrised CRC algorithms; the sums by hand. */
const CHECK: Readonly<Record<ChecksumName, number>> = {
  sum8: 0xdd,
  'sum8-negated': 0x23,
  xor8: 0x31,
  sum16: 0x01dd,
  crc8: 0xf4,
  'crc8-maxim': 0xa1,
  'crc8-sensirion': 0xf7,
  'crc16-arc': 0xbb3d,
  'crc16-modbus': 0x4b37,
  'crc16-ccitt': 0x29b1,
  'crc16-xmodem': 0x31c3,
  'crc16-kermit': 0x2189,
  'crc16-x25': 0x906e,
  crc32: 0xcbf4_3926,
}

test('every checksum has the value that the catalogue states for 123456789, over a part of the bytes too', async (t) => {
  for (const name of CHECKSUM_NAMES) {
    t.equal(checksums[name].of(Buffer.from('123456789')), CHECK[name], name)
    t.equal(checksums[name].of(Buffer.from('ab123456789c'), 2, 11), CHECK[name], `${name} of a part`)
  }
})
