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
const commandId = {
  type: 'string',
  pattern: '^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$',
  description: 'Sending the same again under the same id is harmless',
}
const quality = {
  enum: ['faulty', 'out-of-range'],
  description: 'faulty: the sensor says that it has no value. out-of-range: more or less than its profile says can be',
}
const moment = object(['seq', 'time'], { seq: reference('Seq'), time })
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
  doubtful: {
    type: 'array',
    description: 'Values whose newest word cannot be right; what is shown is the last good one',
    items: object(['name', 'quality', 'seq', 'time'], { name: text, quality, seq: reference('Seq'), time }),
  },
  presence: {
    enum: ['online', 'offline', 'unknown'],
    description: 'What it, its will or its bridge said last; unknown where none of them ever says',
  },
  presenceSince: { ...moment, description: 'Since when; absent where it is unknown' },
  expectedIntervalMs: {
    type: 'integer',
    description: 'How often it reports: as its profile states, or as it was learnt; absent where it has no rhythm',
  },
  stale: { type: 'boolean', description: 'Offline, or overdue by several expected intervals' },
  staleReason: { enum: ['offline', 'overdue'] },
}
const deviceRequired = ['device', 'profile', 'source', 'lastSeq', 'lastHeard', 'values', 'faults', 'presence', 'stale']

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
    historical: {
      const: true,
      description: 'The device sent it late: it belongs into the history and is no last value',
    },
    quality: { ...quality, description: `Of what came after it; this is the last good value. ${quality.description}` },
    qualitySince: moment,
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
    commands: { type: 'array', items: reference('OfferedCommand'), description: 'What its profile offers' },
    readings: list('Reading'),
  }),
  OfferedCommand: object(['name'], {
    name: text,
    title: text,
    parameters: { type: 'object', additionalProperties: reference('CommandParameter') },
  }),
  CommandParameter: object(['type'], {
    type: { enum: ['number', 'string', 'boolean'] },
    title: text,
    values: { type: 'array', items: value, description: 'The only values that are allowed' },
    range: { type: 'array', items: { type: 'number' }, minItems: 2, maxItems: 2 },
    integer: { type: 'boolean' },
    unit,
    maxLength: { type: 'integer' },
    default: value,
    sends: { type: 'object', additionalProperties: value, description: 'What the device gets for a value' },
  }),
  Command: {
    oneOf: [
      object(['payload'], {
        id: commandId,
        payload: { description: 'A text is sent as it is, anything else as JSON' },
        topic: { type: 'string', description: 'MQTT Topic Name, where it is not the usual one of the device' },
        qos: { enum: [0, 1, 2], default: 0 },
      }),
      object(['command'], {
        id: commandId,
        command: { type: 'string', description: 'Name of a command that the profile of the device offers' },
        value: { ...value, description: 'Of the parameter `value`, or of the only one' },
        parameters: { type: 'object', additionalProperties: value },
      }),
    ],
  },
  Commands: object(['device', 'commands'], {
    device: text,
    commands: list('CommandRecord'),
    partial: { const: true, description: 'The log is too large to look through it in time: there may be newer ones' },
  }),
  CommandRecord: object(['seq', 'id', 'device', 'by', 'source', 'at', 'outcome'], {
    seq: { ...reference('Seq'), description: 'Of the audit entry before it was sent' },
    id: text,
    device: text,
    by: { type: 'string', description: 'Who sent it', examples: ['rest:panel', 'ws', 'automatic'] },
    source: text,
    command: text,
    topic: text,
    payload: { type: 'string', description: 'As text, shortened' },
    payloadBytes: { type: 'integer' },
    reason: text,
    at: time,
    outcome: {
      enum: ['pending', 'sent', 'failed', 'unknown'],
      description: 'sent: the source took it. unknown: the source did not say in time. pending: not known, or not yet',
    },
    error: text,
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
