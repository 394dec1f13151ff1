// The names of OBIS codes (IEC 62056-61; DSMR 5.0.2 P1, 6.12; e-MUCS P1 for Belgium). What is not known keeps its code.

/** What stands for itself. `text`: identifiers, which are no numbers even when they look like it. */
const KNOWN: Readonly<Record<string, string>> = {
  '0.2.8': 'version',
  '96.1.4': 'version',
  '96.1.0': 'id',
  '96.1.1': 'id',
  '96.1.2': 'ean',
  '42.0.0': 'logical-name',
  '96.14.0': 'tariff',
  '96.7.21': 'power-failures',
  '96.7.9': 'power-failures.long',
  '96.13.0': 'message',
  '96.13.1': 'message.code',
  '96.3.10': 'breaker',
  '17.0.0': 'power.limit',
  '31.4.0': 'current.limit',
  '24.4.0': 'valve',
}

/** Numbers without a unit; every other value without one is text. */
export const isCount = (name: string): boolean =>
  /^(?:tariff|power-failures|breaker|valve|sags|swells|power-factor)(?:\.|$)/.test(name)

/** Texts whose characters are sent as pairs of hexadecimal digits. */
export const isHexText = (name: string): boolean => /^(?:id|ean|logical-name|message)(?:\.|$)/.test(name)

// C, less its phase: what is measured, and in which direction.
const QUANTITIES: ReadonlyMap<number, readonly [quantity: string, direction: string]> = new Map([
  [1, ['', '.import']],
  [2, ['', '.export']],
  [3, ['reactive-', '.import']],
  [4, ['reactive-', '.export']],
  [5, ['reactive-', '.q1']],
  [6, ['reactive-', '.q2']],
  [7, ['reactive-', '.q3']],
  [8, ['reactive-', '.q4']],
  [9, ['apparent-', '.import']],
  [10, ['apparent-', '.export']],
  [16, ['', '.net']],
])
const INSTANT: ReadonlyMap<number, string> = new Map([
  [11, 'current'],
  [12, 'voltage'],
  [13, 'power-factor'],
  [14, 'frequency'],
])

/** C values 21 to 80 are those of 1 to 20 for the phases 1 to 3; 91 is the neutral. */
const FIRST_OF_PHASES = 21
const PHASE_WIDTH = 20
const NEUTRAL_CURRENT = 91

export const codeName = (a: number, b: number, code: string): string =>
  KNOWN[code] ?? (a === 1 && b === 0 ? measuredName(code) : undefined) ?? `${a}-${b}:${code}`

const measuredName = (code: string): string | undefined => {
  const [c = 0, d = 0, e = 0] = code.split('.').map(Number)
  if (c === NEUTRAL_CURRENT && d === 7) return 'current.neutral'
  const ofPhase = c >= FIRST_OF_PHASES && c < FIRST_OF_PHASES + 3 * PHASE_WIDTH
  const phase = ofPhase ? `.l${Math.floor((c - FIRST_OF_PHASES) / PHASE_WIDTH) + 1}` : ''
  const base = ofPhase ? ((c - FIRST_OF_PHASES) % PHASE_WIDTH) + 1 : c
  const tariff = e === 0 ? '' : `.tariff${e}`
  const instant = INSTANT.get(base)
  if (instant !== undefined) {
    if (d === 7 && e === 0) return `${instant}${phase}`
    if (instant === 'voltage' && d === 32) return `sags${phase}`
    return instant === 'voltage' && d === 36 ? `swells${phase}` : undefined
  }
  const [quantity, direction] = QUANTITIES.get(base) ?? []
  if (quantity === undefined || direction === undefined) return undefined
  switch (d) {
    case 7:
      return `${quantity}power${direction}${phase}${tariff}`
    case 8:
      return `${quantity}energy${direction}${phase}${tariff}`
    // The running average of the current period, and the greatest one of the month (capacity tariff).
    case 4:
      return `${quantity}power${direction}.average${phase}${tariff}`
    case 6:
      return `${quantity}power${direction}.peak${phase}${tariff}`
    default:
      return undefined
  }
}

// EN 13757-3, table 3: device types on the M-Bus.
const MEDIA: ReadonlyMap<number, string> = new Map([
  [2, 'electricity'],
  [3, 'gas'],
  [4, 'heat'],
  [6, 'warm-water'],
  [7, 'water'],
  [10, 'cooling'],
  [11, 'cooling'],
  [12, 'heat'],
  [13, 'heat-cooling'],
])

export const medium = (deviceType: number): string | undefined => MEDIA.get(deviceType)
