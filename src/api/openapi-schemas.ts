// The shapes of what the HTTP API takes and gives, as JSON Schema, for its OpenAPI description.

const reference = (name: string) => ({ $ref: `#/components/schemas/${name}` })
const object = (required: readonly string[], properties: Readonly<Record<string, object>>) => ({
  type: 'object',
  required,
  properties,
})
const list = (name: string) => ({ type: 'array', items: reference(name) })
const text = { type: 'string' }
const time = { type: 'string', format: 'date-time' }
const value = { type: ['number', 'string', 'boolean'] }
const unit = { type: 'string', description: 'SenML unit (RFC 8428, RFC 8798)', examples: ['Cel', '%RH', 'W'] }

const partial = { const: true, description: 'Only some of these are gone; what is left of them follows' }
const timeQuality = {
  enum: ['unsynced', 'corrected'],
  description:
    'unsynced: the clock had not been set at arrival, and the time is what it said. corrected: it was set later in the same boot, and the time follows from that',
}
const deviceProperties = {
  device: text,
  profile: { type: 'string', description: 'Device profile that decodes it; `generic` where none claims its topics' },
  source: text,
  lastSeq: reference('Seq'),
  lastHeard: time,
  timeQuality,
  values: { type: 'integer' },
  faults: { type: 'integer', description: 'Payloads that could not be decoded, as far back as the log goes' },
  lastFault: object(['seq', 'time', 'reason'], { seq: reference('Seq'), time, reason: text }),
  expectedIntervalMs: { type: 'integer', description: 'How often it usually reports, once that is known' },
  stale: { type: 'boolean', description: 'Overdue by several expected intervals' },
}
const deviceRequired = ['device', 'profile', 'source', 'lastSeq', 'lastHeard', 'values', 'faults', 'stale']

export const openApiSchemas: Readonly<Record<string, object>> = {
  Seq: { type: 'integer', minimum: 0, description: 'Sequence number of a message; never used twice' },
  Reading: object(['seq', 'device', 'name', 'value', 'time'], {
    seq: reference('Seq'),
    device: text,
    name: text,
    value,
    unit,
    time: { ...time, description: "The payload's own time where it has one, else the arrival" },
    timeQuality,
  }),
  Readings: object(['seq', 'readings'], { seq: reference('Seq'), gaps: list('Gap'), readings: list('Reading') }),
  PostedReading: {
    ...object(['device', 'name', 'value'], {
      device: { type: 'string', description: 'A valid MQTT Topic Name' },
      name: { type: 'string', minLength: 1, maxLength: 256 },
      value,
      unit,
      time: { type: ['string', 'number'], description: 'RFC 3339, or Unix milliseconds; the arrival where absent' },
      seq: { description: 'Ignored' },
      timeQuality: { description: 'Ignored' },
    }),
    additionalProperties: false,
  },
  SenmlPack: { type: 'array', minItems: 1, items: { type: 'object' }, description: 'RFC 8428' },
  Gap: object(['from', 'to', 'reason'], {
    from: reference('Seq'),
    to: reference('Seq'),
    reason: { type: 'string', examples: ['retention', 'thinned', 'corrupt', 'unclean-stop', 'refused'] },
    partial,
  }),
  Devices: object(['seq', 'devices'], { seq: reference('Seq'), devices: list('Device') }),
  Device: object(deviceRequired, deviceProperties),
  DeviceWithReadings: object(['seq', ...deviceRequired, 'readings'], {
    seq: reference('Seq'),
    ...deviceProperties,
    readings: list('Reading'),
  }),
  Command: object(['payload'], {
    payload: { description: 'A text is sent as it is, anything else as JSON' },
    topic: { type: 'string', description: 'MQTT Topic Name, where it is not the usual one of the device' },
    qos: { enum: [0, 1, 2], default: 0 },
  }),
  HistoryPage: object(['readings'], { readings: list('Reading'), gaps: list('Gap'), next: reference('Seq') }),
  HistorySteps: object(['readings'], { readings: list('Step') }),
  Step: object(['device', 'name', 'time', 'min', 'mean', 'max', 'count'], {
    device: text,
    name: text,
    unit,
    time: { ...time, description: 'Start of the step' },
    min: { type: 'number' },
    mean: { type: 'number' },
    max: { type: 'number' },
    count: { type: 'integer' },
  }),
  StreamMessage: {
    oneOf: [
      object(['type', 'seq', 'readings'], {
        type: { enum: ['snapshot', 'readings'] },
        seq: reference('Seq'),
        readings: list('Reading'),
        conflated: { const: true, description: 'The client was slow: these are the newest values, not all' },
      }),
      object(['type', 'from', 'to', 'reason'], {
        type: { const: 'gap' },
        from: reference('Seq'),
        to: reference('Seq'),
        reason: text,
        partial,
      }),
    ],
  },
  Problem: object(['type', 'title', 'status', 'detail', 'code'], {
    type: { type: 'string', format: 'uri' },
    title: text,
    status: { type: 'integer' },
    detail: text,
    code: { type: 'string', pattern: '^TG_' },
    remedy: text,
  }),
}
