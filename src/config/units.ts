// Durations and sizes as they are written in a configuration: a number with its unit, so that nobody has to guess.

const MS_PER: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
}

const BYTES_PER: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1e3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
}

/** For JSON Schemas, whose own `duration` is ISO 8601. */
export const durationPattern = '[0-9]{1,15}(\\.[0-9]{1,6})?(ms|s|m|min|h|d|w)'
export const sizePattern = '[0-9]{1,15}(\\.[0-9]{1,6})?(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)'

/** Milliseconds, or undefined when the text is not a duration with a unit. */
export const parseDuration = (text: string): number | undefined => parse(text, MS_PER)

/** Bytes, whole; or undefined when the text is not a size with a unit. */
export const parseSize = (text: string): number | undefined => {
  const bytes = parse(text, BYTES_PER)
  return bytes === undefined ? undefined : Math.round(bytes)
}

const parse = (text: string, units: Readonly<Record<string, number>>): number | undefined => {
  const match = /^([0-9]{1,15}(?:\.[0-9]{1,6})?)([A-Za-z]{1,3})$/.exec(text)
  const unit = match?.[2]
  if (unit === undefined || !Object.hasOwn(units, unit)) return undefined
  const value = Number(match?.[1]) * (units[unit] ?? Number.NaN)
  return value <= Number.MAX_SAFE_INTEGER ? value : undefined
}
