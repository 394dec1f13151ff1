// Bytes as a configuration writes them: a text with one byte to a character, or hexadecimal digits.

import type { ByteText } from '../../core/serial-settings.ts'

export const bytesOf = (text: ByteText): Buffer =>
  typeof text === 'string' ? Buffer.from(text, 'latin1') : Buffer.from(text.hex.replaceAll(/\s/g, ''), 'hex')
