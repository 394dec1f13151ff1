// Runs the examples of device profiles: each message must come out as its profile says, by the way of the router, so that
// an example also notices when another profile takes its topic away.

import type { Decoding, Reading } from '../core/contract.ts'
import type { DeviceProfile, ExampleMessage, ExpectedReading, ProfileExample } from '../core/profile.ts'
import type { Router } from './router.ts'

/** When examples arrive that do not say when. */
const ARRIVAL = Date.UTC(2026, 10, 20, 10)
/** The source of examples; it is the device of a scalar on a topic of one level. */
export const EXAMPLE_SOURCE = 'example'

export interface ExampleResult {
  readonly profile: string
  /** Position in the file, from 1. */
  readonly number: number
  readonly topic: string
  /** What is not as expected; empty when all is well. */
  readonly faults: readonly string[]
}

export const runExamples = (profile: DeviceProfile, router: Router): readonly ExampleResult[] =>
  profile.examples.map((example, index) => ({
    profile: profile.name,
    number: index + 1,
    topic: example.topic,
    faults: exampleFaults(profile, example, router),
  }))

const exampleFaults = (profile: DeviceProfile, example: ProfileExample, router: Router): readonly string[] => {
  const receivedAt = example.receivedAt === undefined ? ARRIVAL : Date.parse(example.receivedAt)
  const messages = [...(example.before ?? []), example].map((message, index) => ({
    topic: message.topic,
    payload: examplePayload(message),
    source: EXAMPLE_SOURCE,
    receivedAt,
    seq: index + 1,
  }))
  const fresh = router.forgetful()
  for (const message of messages) fresh.learn(message)
  const message = messages.at(-1)
  if (message === undefined) return []
  // A profile without topics is for sources that name it.
  const claimed = profile.rules.some(({ topics }) => topics.length > 0)
  const decoding = claimed ? fresh.decode(message) : fresh.decodeAs(profile.name, message)
  if (decoding.profile !== profile.name) return [`was decoded by profile ${decoding.profile}`]
  return [
    ...faultDifference(example, decoding),
    ...readingDifferences(example, decoding),
    ...presenceDifferences(example, decoding),
  ]
}

export const examplePayload = ({ payload, hex }: ExampleMessage): Buffer =>
  hex === undefined ? Buffer.from(payload ?? '') : Buffer.from(hex.replace(/\s/g, ''), 'hex')

const presenceDifferences = ({ presence }: ProfileExample, decoding: Decoding): readonly string[] => {
  if (presence === undefined) return []
  const text = (device: string, online: boolean) => `${device} ${online ? 'online' : 'offline'}`
  const expected = Object.entries(presence).map(([device, online]) => text(device, online))
  const actual = (decoding.presence ?? []).map(({ device, online }) => text(device, online))
  return [
    ...expected.filter((one) => !actual.includes(one)).map((one) => `does not say ${one}`),
    ...actual.filter((one) => !expected.includes(one)).map((one) => `says ${one}`),
  ]
}

const faultDifference = ({ fault }: ProfileExample, decoding: Decoding): readonly string[] => {
  if (fault === undefined) return decoding.fault === undefined ? [] : [`has the fault: ${decoding.fault}`]
  if (decoding.fault === undefined) return [`lacks the fault: ${fault}`]
  return decoding.fault.includes(fault) ? [] : [`has another fault: ${decoding.fault}`]
}

const readingDifferences = (example: ProfileExample, { readings }: Decoding): readonly string[] => {
  const expected = (example.readings ?? []).map((reading) => expectedText(reading, example.device))
  // An example need not repeat its device for every reading, nor state it at all.
  const withDevice =
    example.device !== undefined || example.readings?.some(({ device }) => device !== undefined) === true
  const actual = readings.map((reading) => readingText(reading, withDevice))
  return [
    ...expected.filter((text) => !actual.includes(text)).map((text) => `lacks the reading ${text}`),
    ...actual.filter((text) => !expected.includes(text)).map((text) => `has the reading ${text}`),
    ...(expected.length === actual.length || new Set(expected).size < expected.length
      ? []
      : [`has ${actual.length} readings instead of ${expected.length}`]),
  ]
}

const expectedText = (expected: ExpectedReading, common: string | undefined): string => {
  const { device, name, value, unit, time, historical } = expected
  const reading = {
    name,
    value,
    ...(unit === undefined ? {} : { unit }),
    ...(historical === true ? { historical: true as const } : {}),
  }
  return readingText(
    { device: device ?? common ?? '', ...reading, ...(time === undefined ? {} : { timeMs: Date.parse(time) }) },
    (device ?? common) !== undefined,
  )
}

const readingText = ({ device, name, value, unit, timeMs, historical }: Reading, withDevice: boolean): string => {
  const time = timeMs === undefined ? '' : ` at ${new Date(timeMs).toISOString()}`
  const late = historical === undefined ? '' : ' (historical)'
  return `${withDevice ? `${device} ` : ''}${name} = ${JSON.stringify(value)}${unit === undefined ? '' : ` ${unit}`}${time}${late}`
}
