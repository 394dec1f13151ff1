// The formats that schemas may ask for besides JSON Schema's own, each with the words for what it expects.

import { topicFilterFault } from '../core/topic.ts'
import { parseListen } from './listen.ts'
import { isName } from './schema.ts'
import { parseDuration, parseSize } from './units.ts'

export interface Format {
  readonly accepts: (text: string) => boolean
  /** Follows "must be". */
  readonly expected: string
  /** For formats that have an order: the number that formatMinimum and formatMaximum compare. */
  readonly toNumber?: (text: string) => number | undefined
}

const isOrigin = (text: string): boolean => {
  if (!URL.canParse(text)) return false
  const { protocol, origin } = new URL(text)
  return (protocol === 'http:' || protocol === 'https:') && origin === text.replace(/\/$/, '')
}

export const formats: Readonly<Record<string, Format>> = {
  duration: {
    accepts: (text) => parseDuration(text) !== undefined,
    expected: 'a duration with its unit, such as 250ms, 10s, 5m, 1h or 30d',
    toNumber: parseDuration,
  },
  size: {
    accepts: (text) => parseSize(text) !== undefined,
    expected: 'a size with its unit, such as 512B, 64KiB, 256MB or 1GiB',
    toNumber: parseSize,
  },
  listen: {
    accepts: (text) => parseListen(text) !== undefined,
    expected: 'HOST:PORT with a port of at most 65535, such as 127.0.0.1:1883',
  },
  name: {
    accepts: isName,
    expected: '1 to 64 letters, digits, - and _, the first a letter or digit',
  },
  'token-hash': {
    accepts: (text) => /^sha256:[0-9a-f]{64}$/.test(text),
    expected: 'sha256: and the 64 hexadecimal digits of the token (printf %s "$TOKEN" | sha256sum)',
  },
  'topic-filter': {
    accepts: (text) => topicFilterFault(text) === undefined,
    expected: 'an MQTT Topic Filter, such as sensors/# or +/temperature',
  },
  origin: {
    accepts: isOrigin,
    expected: 'an origin without a path, such as https://panel.example',
  },
  uri: {
    accepts: (text) => URL.canParse(text),
    expected: 'a URL',
  },
}
