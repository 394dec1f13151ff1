// Abbreviated keys of Home Assistant's MQTT discovery, those that matter here, and what stands in which key.
// https://www.home-assistant.io/integrations/mqtt/#supported-abbreviations-in-mqtt-discovery-messages

const KEYS: Readonly<Record<string, string>> = {
  stat_t: 'state_topic',
  val_tpl: 'value_template',
  stat_val_tpl: 'state_value_template',
  unit_of_meas: 'unit_of_measurement',
  dev_cla: 'device_class',
  temp_unit: 'temperature_unit',
  avty: 'availability',
  avty_t: 'availability_topic',
  avty_tpl: 'availability_template',
  avty_mode: 'availability_mode',
  pl_avail: 'payload_available',
  pl_not_avail: 'payload_not_available',
  pl_on: 'payload_on',
  pl_off: 'payload_off',
  stat_on: 'state_on',
  stat_off: 'state_off',
  json_attr_t: 'json_attributes_topic',
  cmps: 'components',
  p: 'platform',
  act_t: 'action_topic',
  act_tpl: 'action_template',
  bri_stat_t: 'brightness_state_topic',
  bri_val_tpl: 'brightness_value_template',
  curr_hum_t: 'current_humidity_topic',
  curr_hum_tpl: 'current_humidity_template',
  curr_temp_t: 'current_temperature_topic',
  curr_temp_tpl: 'current_temperature_template',
  fan_mode_stat_t: 'fan_mode_state_topic',
  fan_mode_stat_tpl: 'fan_mode_state_template',
  hum_stat_t: 'target_humidity_state_topic',
  hum_state_tpl: 'target_humidity_state_template',
  mode_stat_t: 'mode_state_topic',
  mode_stat_tpl: 'mode_state_template',
  pct_stat_t: 'percentage_state_topic',
  pct_val_tpl: 'percentage_value_template',
  pos_t: 'position_topic',
  pos_tpl: 'position_template',
  temp_stat_t: 'temperature_state_topic',
  temp_stat_tpl: 'temperature_state_template',
  temp_hi_stat_t: 'temperature_high_state_topic',
  temp_hi_stat_tpl: 'temperature_high_state_template',
  temp_lo_stat_t: 'temperature_low_state_topic',
  temp_lo_stat_tpl: 'temperature_low_state_template',
}
/** Within an availability. */
const TOPIC_KEYS: Readonly<Record<string, string>> = { ...KEYS, t: 'topic' }

/** A further value of an entity, besides its state. */
export interface ValueKeys {
  readonly topic: string
  readonly template: string
  /** Its unit: given by a key, or fixed. */
  readonly unitKey?: string
  readonly unit?: string
  readonly kind?: string
}

const TEMPERATURE = { unitKey: 'temperature_unit', kind: 'temperature' } as const

export const VALUE_KEYS: readonly ValueKeys[] = [
  { topic: 'action_topic', template: 'action_template' },
  { topic: 'brightness_state_topic', template: 'brightness_value_template' },
  { topic: 'current_humidity_topic', template: 'current_humidity_template', unit: '%', kind: 'humidity' },
  { topic: 'current_temperature_topic', template: 'current_temperature_template', ...TEMPERATURE },
  { topic: 'fan_mode_state_topic', template: 'fan_mode_state_template' },
  { topic: 'target_humidity_state_topic', template: 'target_humidity_state_template', unit: '%', kind: 'humidity' },
  { topic: 'mode_state_topic', template: 'mode_state_template' },
  { topic: 'percentage_state_topic', template: 'percentage_value_template', unit: '%' },
  { topic: 'position_topic', template: 'position_template', unit: '%' },
  { topic: 'temperature_state_topic', template: 'temperature_state_template', ...TEMPERATURE },
  { topic: 'temperature_high_state_topic', template: 'temperature_high_state_template', ...TEMPERATURE },
  { topic: 'temperature_low_state_topic', template: 'temperature_low_state_template', ...TEMPERATURE },
]

/** Keys of topics that entities are told on: what is there is no measurement. */
const COMMAND_KEY = /(?:^|_)(?:command_topic|cmd_t)$/
const isCommandKey = (key: string): boolean => COMMAND_KEY.test(key)

/** The object with its keys in full, `~` resolved in what is a topic. A Map: keys come from strangers. */
export const expanded = (object: object, base?: string, ofAvailability = false): ReadonlyMap<string, unknown> => {
  const names = ofAvailability ? TOPIC_KEYS : KEYS
  const own = (object as Readonly<Record<string, unknown>>)['~']
  const tilde = Object.hasOwn(object, '~') && typeof own === 'string' ? own : base
  const result = new Map<string, unknown>()
  for (const [key, value] of Object.entries(object)) {
    const name = Object.hasOwn(names, key) ? (names[key] ?? key) : key
    const isTopic = name === 'topic' || name.endsWith('_topic') || isCommandKey(name)
    result.set(name, isTopic && tilde !== undefined && typeof value === 'string' ? resolved(value, tilde) : value)
  }
  if (tilde !== undefined) result.set('~', tilde)
  return result
}

const resolved = (topic: string, base: string): string => {
  if (topic.startsWith('~')) return base + topic.slice(1)
  return topic.endsWith('~') ? topic.slice(0, -1) + base : topic
}
