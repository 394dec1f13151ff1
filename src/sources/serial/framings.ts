// From the configuration of a framing to the framing.

import type { FramingSettings } from '../../core/serial-settings.ts'
import { bytesOf } from './byte-text.ts'
import { DelimiterFraming } from './delimiter-framing.ts'
import { cobs, EncodedFraming, slip } from './encoded-framing.ts'
import { type Framing, NO_BYTES } from './framing.ts'
import { IdleFraming } from './idle-framing.ts'
import { LineFraming } from './line-framing.ts'
import { MeasuredFraming } from './measured-framing.ts'

export const createFraming = (settings: FramingSettings, maxBytes: number): Framing => {
  switch (settings.type) {
    case 'line':
      return new LineFraming(settings.end ?? 'any', maxBytes)
    case 'delimiter':
      return delimiterFraming(settings, maxBytes)
    case 'fixed':
      return fixedFraming(settings, maxBytes)
    case 'length-prefix':
      return prefixFraming(settings, maxBytes)
    case 'slip':
      return new EncodedFraming(slip, maxBytes)
    case 'cobs':
      return new EncodedFraming(cobs, maxBytes)
    case 'idle':
      return new IdleFraming(settings.gap, maxBytes)
  }
}

type Of<Type extends FramingSettings['type']> = Extract<FramingSettings, { readonly type: Type }>

const delimiterFraming = (settings: Of<'delimiter'>, maxBytes: number): Framing => {
  const { start, end, trailing = 0, through, restart = false, aside, strip = false } = settings
  return new DelimiterFraming({
    start: start === undefined ? undefined : bytesOf(start),
    end: bytesOf(end),
    trailing,
    throughLine: through === 'line',
    restart,
    aside: aside === undefined ? undefined : { start: bytesOf(aside.start)[0] ?? 0, end: bytesOf(aside.end) },
    strip,
    maxBytes,
  })
}

const fixedFraming = ({ length, start, end, gap }: Of<'fixed'>, maxBytes: number): Framing =>
  new MeasuredFraming({
    start: bytesOf(start),
    end: end === undefined ? NO_BYTES : bytesOf(end),
    headerBytes: 0,
    measure: () => length,
    maxBytes,
    gapMs: gap,
  })

const prefixFraming = (settings: Of<'length-prefix'>, maxBytes: number): Framing => {
  const { start, offset, size, endian = 'big', gap } = settings
  const headerBytes = offset + size
  const { add = headerBytes } = settings
  return new MeasuredFraming({
    start: bytesOf(start),
    end: NO_BYTES,
    headerBytes,
    measure: (window) => window.readLength(offset, size, endian) + add,
    maxBytes,
    gapMs: gap,
  })
}
