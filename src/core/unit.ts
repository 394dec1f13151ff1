// Units of measure: the symbols of the SenML registry, and how people and devices spell them.
//
// A spelling whose unit the registry lacks (degrees Fahrenheit, bar, mph) is converted into one that it has: a value
// without a registered unit could not be understood upstream. The log keeps the payload as it was.
// One symbol departs from the registry: illuminance is `lux` here (the interface fixes it), `lx` in RFC 8428.

/** A registered unit, and how to get there from the spelling: value * scale + offset. */
export interface UnitSpelling {
  readonly unit: string
  readonly scale: number
  readonly offset: number
}

// RFC 8428, 12.1 and RFC 8798, 2 (primary units).
const PRIMARY = `m kg g s A K cd mol Hz rad sr N Pa J W C V F Ohm S Wb T H Cel lm lux Bq Gy Sv kat m2 m3 l m/s m/s2 m3/s
  l/s W/m2 cd/m2 bit bit/s lat lon pH dB dBW Bspl count / % %RH %EL EL 1/s 1/min beat/min beats S/m B VA VAs var vars
  J/m kg/m3 deg NTU`

// RFC 8798, 3 (secondary units) and later registrations.
const SECONDARY = `ms min h MHz kW kVA kvar Ah Wh kWh varh kvarh kVAh VAh Wh/km KiB GB Mbit/s B/s MB/s mV mA dBm ug/m3 mm/h
  m/h ppm ppb ppt /100 /1000 hPa mm cm km km/h mg/l ug/l g/l`

const REGISTERED: ReadonlySet<string> = new Set(`${PRIMARY} ${SECONDARY}`.split(/\s+/))

/** Whether the symbol may stand in a reading. */
export const isUnit = (symbol: string): boolean => REGISTERED.has(symbol)

/** All symbols, for messages. */
export const unitSymbols = (): readonly string[] => [...REGISTERED]

// [symbol, scale, offset, spellings]. Symbols spell themselves, except C and F: on a payload they are temperatures.
const SPELLINGS: readonly (readonly [string, number, number, string])[] = [
  ['Cel', 1, 0, 'C °C ℃ ºC degC celsius'],
  ['Cel', 5 / 9, -160 / 9, 'F °F ℉ ºF degF fahrenheit'],
  ['%RH', 1, 0, '%rh rh% %r.H. %rF'],
  ['/1000', 1, 0, '‰'],
  ['lux', 1, 0, 'lx'],
  ['hPa', 1, 0, 'mbar mb'],
  ['hPa', 1000, 0, 'bar'],
  ['hPa', 10, 0, 'kPa'],
  ['hPa', 10_000, 0, 'MPa'],
  ['hPa', 33.86389, 0, 'inHg'],
  ['hPa', 1.333224, 0, 'mmHg Torr'],
  ['hPa', 68.94757, 0, 'psi'],
  ['mm', 0.001, 0, 'um µm μm'],
  ['mm', 25.4, 0, 'in inch'],
  ['m', 0.3048, 0, 'ft'],
  ['km', 1.609344, 0, 'mi'],
  ['km/h', 1, 0, 'kmh kph'],
  ['km/h', 1.609344, 0, 'mph'],
  ['km/h', 1.852, 0, 'kn kt kts'],
  ['m/s', 1, 0, 'mps'],
  ['m/s', 0.3048, 0, 'ft/s'],
  ['m/s2', 1, 0, 'm/s²'],
  ['m2', 1, 0, 'm²'],
  ['m3', 1, 0, 'm³'],
  ['l', 1, 0, 'L litre liter'],
  ['l', 0.001, 0, 'ml mL'],
  ['l', 3.785411784, 0, 'gal'],
  ['l/s', 1 / 60, 0, 'l/min L/min lpm'],
  ['l/s', 1 / 3600, 0, 'l/h L/h'],
  ['m3/s', 1 / 3600, 0, 'm3/h m³/h'],
  ['m3/s', 1, 0, 'm³/s'],
  ['g', 0.001, 0, 'mg'],
  ['g', 28.349523125, 0, 'oz'],
  ['kg', 0.45359237, 0, 'lb lbs'],
  ['kg', 1000, 0, 't'],
  ['s', 1, 0, 'sec secs seconds'],
  ['ms', 0.001, 0, 'us µs μs'],
  ['ms', 1, 0, 'msec'],
  ['min', 1, 0, 'mins minutes'],
  ['h', 1, 0, 'hr hrs hours'],
  ['h', 24, 0, 'd days'],
  ['Hz', 1000, 0, 'kHz'],
  ['MHz', 1000, 0, 'GHz'],
  ['1/min', 1, 0, 'rpm'],
  ['beat/min', 1, 0, 'bpm'],
  ['W', 0.001, 0, 'mW'],
  ['kW', 1000, 0, 'MW'],
  ['kWh', 1000, 0, 'MWh'],
  ['Wh', 0.001, 0, 'mWh'],
  ['J', 1000, 0, 'kJ'],
  ['J', 1_000_000, 0, 'MJ'],
  ['J', 1_000_000_000, 0, 'GJ'],
  ['V', 1000, 0, 'kV'],
  ['mV', 0.001, 0, 'uV µV μV'],
  ['mA', 0.001, 0, 'uA µA μA'],
  ['Ah', 0.001, 0, 'mAh'],
  ['var', 1, 0, 'VAr VAR'],
  ['Ohm', 1, 0, 'Ω Ω ohms'],
  ['Ohm', 1000, 0, 'kOhm kΩ'],
  ['Ohm', 1_000_000, 0, 'MOhm MΩ'],
  ['S/m', 0.0001, 0, 'uS/cm µS/cm μS/cm'],
  ['S/m', 0.1, 0, 'mS/cm'],
  ['W/m2', 1, 0, 'W/m²'],
  ['ug/m3', 1, 0, 'µg/m³ μg/m³ ug/m³ µg/m3 μg/m3'],
  ['ug/m3', 1000, 0, 'mg/m³ mg/m3'],
  ['kg/m3', 1, 0, 'kg/m³'],
  ['ug/l', 1, 0, 'µg/l μg/l'],
  ['mg/l', 1, 0, 'mg/L'],
  ['deg', 1, 0, '°'],
  ['B', 1000, 0, 'kB'],
  ['B', 1_000_000, 0, 'MB'],
  ['B', 1_048_576, 0, 'MiB'],
  ['bit/s', 1000, 0, 'kbit/s kbps'],
  ['Mbit/s', 1, 0, 'Mbps'],
]

// Words and longer symbols may be spelt in any case where only one unit fits; not where a capital M is mega (mPa, MPa).
const SHORTEST_ANY_CASE = 3

const bySpelling = new Map<string, UnitSpelling>()
for (const unit of REGISTERED) bySpelling.set(unit, { unit, scale: 1, offset: 0 })
for (const [unit, scale, offset, spellings] of SPELLINGS)
  for (const spelling of spellings.split(' ')) bySpelling.set(spelling, { unit, scale, offset })

const byLowerCase = new Map<string, UnitSpelling | undefined>()
for (const [spelling, target] of bySpelling) {
  if (spelling.length < SHORTEST_ANY_CASE) continue
  const lower = spelling.toLowerCase()
  const other = byLowerCase.get(lower)
  const taken = byLowerCase.has(lower) && (other?.unit !== target.unit || other.scale !== target.scale)
  byLowerCase.set(lower, taken || spelling.startsWith('M') ? undefined : target)
}

/** What the text means as a unit, or undefined. `name` decides what a percentage is a percentage of. */
export const unitSpelling = (text: string, name: string): UnitSpelling | undefined => {
  if (text === '%') return { unit: percentUnit(name), scale: 1, offset: 0 }
  return bySpelling.get(text) ?? (text.length < SHORTEST_ANY_CASE ? undefined : byLowerCase.get(text.toLowerCase()))
}

/** The value in the registered unit; rounded to 12 digits where arithmetic was needed, so that 77 °F is 25 Cel and not 25.000000000000004. */
export const convertUnit = (value: number, spelling: UnitSpelling): number =>
  spelling.scale === 1 && spelling.offset === 0
    ? value
    : Number((value * spelling.scale + spelling.offset).toPrecision(12))

/** From one registered unit to another of the same quantity: RFC 8798, 3 and what the SI says. */
const FACTORS: readonly (readonly [string, number, string])[] = [
  ['kW', 1_000, 'W'],
  ['kVA', 1_000, 'VA'],
  ['kvar', 1_000, 'var'],
  ['Wh', 3_600, 'J'],
  ['kWh', 3_600_000, 'J'],
  ['Ah', 3_600, 'C'],
  ['varh', 3_600, 'vars'],
  ['kvarh', 3_600_000, 'vars'],
  ['VAh', 3_600, 'VAs'],
  ['kVAh', 3_600_000, 'VAs'],
  ['mV', 0.001, 'V'],
  ['mA', 0.001, 'A'],
  ['ms', 0.001, 's'],
  ['min', 60, 's'],
  ['h', 3_600, 's'],
  ['MHz', 1_000_000, 'Hz'],
  ['hPa', 100, 'Pa'],
  ['mm', 0.001, 'm'],
  ['cm', 0.01, 'm'],
  ['km', 1_000, 'm'],
  ['km/h', 1 / 3.6, 'm/s'],
  ['kg', 1_000, 'g'],
  ['l', 0.001, 'm3'],
  ['l/s', 0.001, 'm3/s'],
  ['mm/h', 0.001 / 3_600, 'm/s'],
  ['m/h', 1 / 3_600, 'm/s'],
  ['ug/m3', 1e-9, 'kg/m3'],
  ['ug/l', 1e-6, 'kg/m3'],
  ['mg/l', 1e-3, 'kg/m3'],
  ['g/l', 1, 'kg/m3'],
  ['KiB', 1_024, 'B'],
  ['GB', 1e9, 'B'],
  ['B/s', 8, 'bit/s'],
  ['MB/s', 8e6, 'bit/s'],
  ['Mbit/s', 1e6, 'bit/s'],
  ['1/min', 1 / 60, '1/s'],
  ['%', 0.01, '/'],
  ['/100', 0.01, '/'],
  ['/1000', 0.001, '/'],
  ['ppm', 1e-6, '/'],
  ['ppb', 1e-9, '/'],
  ['ppt', 1e-12, '/'],
]

const toBase = new Map(FACTORS.map(([unit, factor, base]) => [unit, { factor, base, offset: 0 }]))
toBase.set('Cel', { factor: 1, base: 'K', offset: 273.15 })

const inBase = (unit: string) => toBase.get(unit) ?? { factor: 1, base: unit, offset: 0 }

/** How a value in one registered unit becomes one in the other; undefined where they measure different things. */
export const unitConversion = (from: string, to: string): ((value: number) => number) | undefined => {
  const source = inBase(from)
  const target = inBase(to)
  if (source.base !== target.base) return undefined
  if (from === to) return (value) => value
  return (value) => Number(((value * source.factor + source.offset - target.offset) / target.factor).toPrecision(12))
}

// RFC 8428, 12.1: %RH and %EL are for relative humidity and the energy left in a battery.
const percentUnit = (name: string): string => {
  if (/humid|(^|[^a-z])(hum|rh)([^a-z]|$)/i.test(name)) return '%RH'
  if (/batter|(^|[^a-z])(batt?|soc)([^a-z]|$)/i.test(name)) return '%EL'
  return '%'
}
