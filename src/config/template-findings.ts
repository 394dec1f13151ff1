// What can be wrong with templates and units of a device profile, wherever they stand in it.

import { templateNames } from '../core/topic-pattern.ts'
import { unitSymbols } from '../core/unit.ts'
import type { Path } from './document.ts'
import { nearest } from './nearest.ts'
import type { Finding } from './validation.ts'

export const templateFindings = (
  template: string | undefined,
  known: readonly string[],
  at: Path,
): readonly Finding[] =>
  templateNames(template ?? '')
    .filter((name) => !known.includes(name))
    .map((name) =>
      wrong(
        at,
        `{${name}} is captured by no topic pattern${known.length === 0 ? '' : `; there is {${known.join('}, {')}}`}`,
      ),
    )

// A template holds for every pattern of its rule, so only what all of them capture may stand in it.
export const commonCaptures = (topics: readonly string[]): readonly string[] => {
  const [first = [], ...others] = topics.map(templateNames)
  return first.filter((name) => others.every((names) => names.includes(name)))
}

export const unknownUnit = (unit: string): string => {
  const meant = nearest(unit, unitSymbols())
  return `${unit} is no SenML unit${meant === undefined ? '' : `; did you mean ${meant}?`}`
}

export const wrong = (path: Path, message: string): Finding => ({ path, at: 'value', message })
