// The labels of VE.Direct: factor and unit of their numbers, and what their codes mean (VE.Direct Protocol, "Field
// descriptions"). A label that is not here is a text, or a number without a unit where it looks like one.

export interface Measure {
  readonly unit: string
  readonly scale: number
}

// [unit, factor, labels]
const MEASURES: readonly (readonly [string, number, string])[] = [
  ['V', 0.001, 'V V2 V3 VS VM VPV H7 H8 H15 H16'],
  ['/1000', 1, 'DM'],
  ['W', 1, 'PPV P H21 H23 DC_IN_P'],
  ['A', 0.001, 'I I2 I3 IL'],
  ['Cel', 1, 'T'],
  ['Ah', 0.001, 'CE H1 H2 H3 H6'],
  ['%EL', 0.1, 'SOC'],
  ['min', 1, 'TTG'],
  ['count', 1, 'H4 H5 H10 H11 H12 H13 H14'],
  ['s', 1, 'H9'],
  ['kWh', 0.01, 'H17 H18 H19 H20 H22'],
  ['V', 0.01, 'AC_OUT_V DC_IN_V'],
  ['A', 0.1, 'AC_OUT_I DC_IN_I'],
  ['VA', 1, 'AC_OUT_S'],
]

export const measures: ReadonlyMap<string, Measure> = new Map(
  MEASURES.flatMap(([unit, scale, labels]) => labels.split(' ').map((label) => [label, { unit, scale }] as const)),
)

/** Numbers without a unit. */
export const plainNumbers: ReadonlySet<string> = new Set(['HSDS', 'MON'])

/** ON and OFF. */
export const switches: ReadonlySet<string> = new Set(['LOAD', 'Alarm', 'Relay'])

const meanings = (...pairs: readonly (readonly [number, string])[]): ReadonlyMap<number, string> => new Map(pairs)

/** State of operation, error, mode and tracker. A code that is not here stays the number, as text. */
export const codes: ReadonlyMap<string, ReadonlyMap<number, string>> = new Map([
  [
    'CS',
    meanings(
      [0, 'off'],
      [1, 'low power'],
      [2, 'fault'],
      [3, 'bulk'],
      [4, 'absorption'],
      [5, 'float'],
      [6, 'storage'],
      [7, 'equalize (manual)'],
      [9, 'inverting'],
      [11, 'power supply'],
      [245, 'starting up'],
      [246, 'repeated absorption'],
      [247, 'auto equalize'],
      [248, 'battery safe'],
      [252, 'external control'],
    ),
  ],
  [
    'ERR',
    meanings(
      [0, 'none'],
      [2, 'battery voltage too high'],
      [17, 'charger temperature too high'],
      [18, 'charger over current'],
      [19, 'charger current reversed'],
      [20, 'bulk time limit exceeded'],
      [21, 'current sensor issue'],
      [26, 'terminals overheated'],
      [28, 'converter issue'],
      [33, 'input voltage too high'],
      [34, 'input current too high'],
      [38, 'input shutdown: battery voltage too high'],
      [39, 'input shutdown: current during off mode'],
      [65, 'lost communication with one of the devices'],
      [66, 'synchronised charging configuration issue'],
      [67, 'BMS connection lost'],
      [68, 'network misconfigured'],
      [116, 'factory calibration data lost'],
      [117, 'invalid firmware'],
      [119, 'user settings invalid'],
    ),
  ],
  ['MODE', meanings([1, 'charger'], [2, 'inverter'], [4, 'off'], [5, 'eco'], [253, 'hibernate'])],
  ['MPPT', meanings([0, 'off'], [1, 'voltage or current limited'], [2, 'tracking'])],
])

const ALARMS = [
  'low voltage',
  'high voltage',
  'low SOC',
  'low starter voltage',
  'high starter voltage',
  'low temperature',
  'high temperature',
  'mid voltage',
  'overload',
  'DC ripple',
  'low AC output voltage',
  'high AC output voltage',
  'short circuit',
  'BMS lockout',
]

const OFF_REASONS = [
  'no input power',
  'switched off by power switch',
  'switched off by device mode',
  'remote input',
  'protection active',
  'paygo',
  'BMS',
  'engine shutdown',
  'analysing input voltage',
]

/** Codes that are sums of bits, the lowest first. */
export const bitMeanings: ReadonlyMap<string, readonly string[]> = new Map([
  ['AR', ALARMS],
  ['WARN', ALARMS],
  ['OR', OFF_REASONS],
])
