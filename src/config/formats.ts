// The formats that schemas may ask for besides JSON Schema's own, each with the words for what it expects.

import { topicFilterFault, topicNameFault } from '../core/topic.ts'
import { isUnit } from '../core/unit.ts'
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

// In single quotes YAML leaves a backslash as it is, which nobody means.
const isByteText = (text: string): boolean =>
  [...text].every((character) => character.charCodeAt(0) <= 0xff && character.length === 1) && !/\\[rntx0]/.test(text)

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
  unit: {
    accepts: isUnit,
    expected: 'a SenML unit, such as Cel, W or %RH',
  },
  origin: {
    accepts: isOrigin,
    expected: 'an origin without a path, such as https://panel.example',
  },
  topic: {
    accepts: (text) => topicNameFault(text) === undefined,
    expected: 'an MQTT Topic Name: without + # and control characters',
  },
  'device-path': {
    accepts: (text) => text.startsWith('/') && !text.includes('\0'),
    expected: 'an absolute path, such as /dev/serial/by-id/…',
  },
  bytes: {
    accepts: (text) => isByteText(text),
    expected: 'characters of one byte each, control characters in double quotes ("\\r\\n", "\\xAA"), or { hex: AA C0 }',
  },
  hex: {
    accepts: (text) => /^\s*([0-9a-fA-F]{2}\s*)+$/.test(text),
    expected: 'pairs of hexadecimal digits, such as 0D 0A',
  },
  uri: {
    accepts: (text) => URL.canParse(text),
    expected: 'a URL',
  },
}
