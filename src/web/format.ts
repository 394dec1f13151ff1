// How numbers, ages, sizes and times are written on the page. Pure; the exact value always stands in a title beside it.

/** Significant digits that every float32 can be told apart by. */
const FLOAT32_DIGITS = 9
/** Significant digits that every decimal survives in a float64. */
const FLOAT64_DIGITS = 15
/** A rounded form is taken for the intended one only if it is this much shorter: 0.30000000000000004 → 0.3. */
const NOISE_CHARACTERS = 4
/** Text beyond this is cut on the page; nobody reads more in a card. */
const MAX_TEXT_CHARACTERS = 300
/** Text beyond this is cut in a title. */
const MAX_TITLE_CHARACTERS = 2_000

/** The shortest text that means this number, without the noise of a float32 or of binary arithmetic. */
export const numberText = (value: number): string => {
  const exact = String(value)
  if (exact.length <= FLOAT32_DIGITS) return exact
  if (Math.fround(value) === value && !Number.isInteger(value)) {
    for (let digits = 1; digits <= FLOAT32_DIGITS; digits++) {
      const candidate = Number(value.toPrecision(digits))
      if (Math.fround(candidate) === value) return String(candidate)
    }
  }
  const rounded = String(Number(value.toPrecision(FLOAT64_DIGITS)))
  return rounded.length <= exact.length - NOISE_CHARACTERS ? rounded : exact
}

/** Splits a number's text where a reader wants a gap: `1234567.89` → `1`, `234`, `567.89`. Up to four digits stay together. */
export const digitGroups = (text: string): readonly string[] => {
  const match = /^(-?)(\d{5,})(\.\d+)?$/.exec(text)
  if (match === null) return [text]
  const [, sign = '', whole = '', fraction = ''] = match
  const groups: string[] = []
  for (let end = whole.length; end > 0; end -= 3) groups.unshift(whole.slice(Math.max(0, end - 3), end))
  groups[0] = sign + (groups[0] ?? '')
  groups[groups.length - 1] += fraction
  return groups
}

export const shortText = (text: string): string => cut(text, MAX_TEXT_CHARACTERS)

export const titleText = (text: string): string => cut(text, MAX_TITLE_CHARACTERS)

/** Never cuts a character in half. */
const cut = (text: string, characters: number): string => {
  if (text.length <= characters) return text
  const last = text.charCodeAt(characters - 1)
  const splitsPair = last >= 0xd800 && last <= 0xdbff
  return `${text.slice(0, splitsPair ? characters - 1 : characters)}…`
}

/** `3 s`, `4 min`, `5 h`, `6 d`. Something from the future (a device with a wrong clock) is as old as now. */
export const ageText = (ms: number): string => {
  const seconds = Math.max(0, Math.floor(ms / 1_000))
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`
  if (seconds < 48 * 3_600) return `${Math.floor(seconds / 3_600)} h`
  return `${Math.floor(seconds / 86_400)} d`
}

const counts = new Intl.NumberFormat('en-GB', { maximumFractionDigits: 0 })

export const countText = (count: number): string => counts.format(count)

/** `1 message`, `1,204 messages`. */
export const countOf = (count: number, noun: string): string => `${countText(count)} ${noun}${count === 1 ? '' : 's'}`

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

export const sizeText = (bytes: number): string => {
  let size = bytes
  let unit = 0
  while (size >= 1_024 && unit < BYTE_UNITS.length - 1) {
    size /= 1_024
    unit++
  }
  return `${unit === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${BYTE_UNITS[unit]}`
}

/** Time of day as the reader's clock shows it; with the date where it was another day. */
export const clockText = (timeMs: number, nowMs: number): string => {
  const time = new Date(timeMs)
  const clock = [time.getHours(), time.getMinutes(), time.getSeconds()]
    .map((part) => String(part).padStart(2, '0'))
    .join(':')
  if (time.toDateString() === new Date(nowMs).toDateString()) return clock
  return `${time.toLocaleDateString('en-GB', { day: 'numeric', month: 'short', year: 'numeric' })}, ${clock}`
}

/** For machines and titles; empty for a time that no calendar has. */
export const isoText = (timeMs: number): string => {
  const time = new Date(timeMs)
  return Number.isNaN(time.getTime()) ? '' : time.toISOString()
}
