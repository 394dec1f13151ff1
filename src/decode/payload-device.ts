// The device of a message whose payload tells it: rtl_433 and mesh gateways publish what many devices said under one topic.

import { DecodeError } from '../core/errors.ts'
import { type Captures, expandTemplate } from '../core/topic-pattern.ts'
import { at } from './fields.ts'

/** Identifiers are short; a longer one is data in the wrong place. */
const MAX_PART_LENGTH = 64
// A device looks like a topic: a part must be one level of it, and no wildcard.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const NO_LEVEL = /[/+#\s\u0000-\u001f\u007f-\u009f]/g

/** What finds the device in a payload; throws DecodeError where the payload tells none. */
export const payloadDevice = (
  paths: readonly string[],
  template: string | undefined,
  captures: Captures,
): ((payload: unknown) => string) => {
  // Parted before the captures come in: what a topic holds is never a template.
  const around = (template ?? '{device}').split('{device}').map((part) => expandTemplate(part, captures))
  return (payload) => {
    const parts = paths.map((path) => devicePart(at(payload, path))).filter((part) => part !== '')
    if (parts.length === 0) throw new DecodeError(`the payload tells no device: it lacks ${paths.join(', ')}`)
    return around.join(parts.join('/'))
  }
}

const devicePart = (value: unknown): string =>
  typeof value === 'string' || typeof value === 'number'
    ? String(value).slice(0, MAX_PART_LENGTH).replace(NO_LEVEL, '_')
    : ''
