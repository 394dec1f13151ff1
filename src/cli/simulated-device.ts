// Sensors that do not exist, but talk like those that do: slow drift, a daily curve, and the dialects of the field.

/** What a device publishes at one moment. */
export interface Publication {
  readonly topic: string
  readonly payload: string
}

export interface SimulatedDevice {
  /** Takes a step in time and says what it publishes now. */
  publish(timeMs: number): readonly Publication[]
}

/** None of them is in the README: what a newcomer publishes by hand must not be overwritten by a simulation. */
const ROOMS = ['bathroom', 'cellar', 'kitchen', 'office', 'attic', 'garage', 'nursery', 'workshop'] as const
const DAY_MS = 86_400_000
/** How strongly a value is pulled back to its centre at each step; the rest is a random walk. */
const PULL = 0.02

/** `index` decides place and dialect, so that the same number is always the same device. */
export const simulatedDevice = (index: number, random: () => number = Math.random): SimulatedDevice => {
  const round = Math.floor(index / ROOMS.length)
  const room = `${ROOMS[index % ROOMS.length]}${round === 0 ? '' : `-${round + 1}`}`
  const climate = new Climate(index, random)
  const dialect = dialects[index % dialects.length] ?? scalars
  return { publish: (timeMs) => dialect(room, index, climate.step(timeMs), timeMs) }
}

interface Weather {
  readonly temperature: number
  readonly humidity: number
  readonly pressure: number
  readonly battery: number
}

type Dialect = (room: string, index: number, weather: Weather, timeMs: number) => readonly Publication[]

// One value a topic, as small programs on ESP boards do.
const scalars: Dialect = (room, _index, { temperature, humidity }) => [
  { topic: `sensors/${room}/temperature`, payload: temperature.toFixed(1) },
  { topic: `sensors/${room}/humidity`, payload: humidity.toFixed(0) },
]

const plainJson: Dialect = (room, _index, { temperature, humidity, pressure }) => [
  { topic: `sensors/${room}`, payload: JSON.stringify({ temperature, humidity, pressure }) },
]

const zigbee2mqtt: Dialect = (room, index, { temperature, humidity, pressure, battery }) => [
  {
    topic: `zigbee2mqtt/${room}_climate`,
    payload: JSON.stringify({
      battery: Math.round(battery),
      humidity,
      linkquality: 60 + ((index * 37) % 180),
      pressure,
      temperature,
      voltage: 2_800 + Math.round(battery * 2),
    }),
  },
]

const tasmota: Dialect = (_room, index, { temperature, humidity }, timeMs) => [
  {
    topic: `tele/tasmota_${(0xa1b200 + index).toString(16).toUpperCase()}/SENSOR`,
    payload: JSON.stringify({
      Time: new Date(timeMs).toISOString().slice(0, 19),
      AM2301: { Temperature: temperature, Humidity: humidity },
      TempUnit: 'C',
    }),
  },
]

// A person's idea of a payload: the unit written behind the number.
const withUnit: Dialect = (room, _index, { temperature }) => [
  { topic: `${room}/temperature`, payload: `${temperature.toFixed(1)} °C` },
]

const dialects: readonly Dialect[] = [scalars, plainJson, zigbee2mqtt, tasmota, withUnit]

class Climate {
  readonly #random: () => number
  readonly #centre: number
  readonly #phase: number
  #temperatureDrift = 0
  #humidityDrift = 0
  #pressureDrift = 0
  #battery = 100

  constructor(index: number, random: () => number) {
    this.#random = random
    this.#centre = 16 + ((index * 7) % 9)
    this.#phase = (index * 0.37) % 1
  }

  step(timeMs: number): Weather {
    const day = Math.sin(2 * Math.PI * ((timeMs % DAY_MS) / DAY_MS + this.#phase))
    this.#temperatureDrift = this.#walk(this.#temperatureDrift, 0.06)
    this.#humidityDrift = this.#walk(this.#humidityDrift, 0.3)
    this.#pressureDrift = this.#walk(this.#pressureDrift, 0.05)
    this.#battery = Math.max(5, this.#battery - 0.0005 * this.#random())
    return {
      temperature: rounded(this.#centre + 2.5 * day + this.#temperatureDrift, 1),
      humidity: rounded(Math.min(100, Math.max(5, 52 - 8 * day + this.#humidityDrift)), 1),
      pressure: rounded(1_013 + this.#pressureDrift, 1),
      battery: this.#battery,
    }
  }

  #walk(value: number, width: number): number {
    return value * (1 - PULL) + (this.#random() - 0.5) * 2 * width
  }
}

const rounded = (value: number, digits: number): number => Number(value.toFixed(digits))
