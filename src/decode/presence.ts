// The presence rule of a profile, compiled: what a will or a birth says about a device being there. Other payloads say nothing.

import type { Presence } from '../core/contract.ts'
import type { PresenceRule } from '../core/profile.ts'
import { type Captures, expandTemplate } from '../core/topic-pattern.ts'
import { at } from './fields.ts'

/** A payload that says "Online" is short; no longer one is looked at. JSON may have more beside it. */
const MAX_TEXT_BYTES = 256
const MAX_JSON_BYTES = 8_192

export type TellPresence = (payload: Buffer) => readonly Presence[] | undefined

/** `device`: that of the rule. */
export const presenceTeller = (rule: PresenceRule, device: string, captures: Captures): TellPresence => {
  const online: ReadonlySet<string> = new Set(rule.online)
  const offline: ReadonlySet<string> = new Set(rule.offline)
  const owner = (rule.device === undefined ? '' : expandTemplate(rule.device, captures)) || device
  const told = (isOnline: boolean): readonly Presence[] => [
    { device: owner, online: isOnline, ...(rule.below === true ? { below: true } : {}) },
  ]
  const there = told(true)
  const gone = told(false)
  return (payload) => {
    const text = presenceText(payload, rule.path)
    if (text === undefined) return undefined
    if (online.has(text)) return there
    return offline.has(text) ? gone : undefined
  }
}

const presenceText = (payload: Buffer, path: string | undefined): string | undefined => {
  if (path !== undefined && payload.length <= MAX_JSON_BYTES && payload[0] === 0x7b) {
    const value = at(parsed(payload), path)
    return typeof value === 'string' || typeof value === 'boolean' || typeof value === 'number'
      ? String(value)
      : undefined
  }
  return payload.length <= MAX_TEXT_BYTES ? payload.toString('utf8').trim() : undefined
}

// What is wrong with it is told by whoever decodes it.
const parsed = (payload: Buffer): unknown => {
  try {
    return JSON.parse(payload.toString('utf8'))
  } catch {
    return undefined
  }
}
