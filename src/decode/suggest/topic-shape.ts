// From the topics that were seen to a topic pattern: which level is the device, and which only tells quantities apart.

export interface TopicShape {
  readonly pattern: string
  /** Template of the device; {device} where absent. */
  readonly device?: string
  /** Template of the name, for payloads of one value. */
  readonly name?: string
  /** Why, for the reader of the draft. */
  readonly reason: string
}

/** Last levels that name a quantity or a kind of message rather than a device. */
const KIND_OF_MESSAGE =
  /^(state|status|sensor|sensors|telemetry|tele|data|event|events|value|values|report|json|readings?|measurements?|attributes|info|up|raw|rx|temperature|humidity|pressure|power|energy|voltage|current|battery|lwt|online|availability)$/i

/** `filter`: the Topic Filter that was asked for; its first wildcard is the device. `isDocument`: payloads hold several values. */
export const topicShape = (topics: readonly string[], filter: string, isDocument: boolean): TopicShape => {
  const asked = filter.split('/')
  const wild = asked.indexOf('+')
  if (wild !== -1 && asked.at(-1) !== '#') {
    const levels = asked.map((level, index) => {
      if (index === wild) return '{device}'
      if (level !== '+') return literal(level)
      return index === asked.length - 1 ? '{name}' : `{level${index + 1}}`
    })
    return shape(levels, isDocument, 'the first + is taken for the device')
  }
  const [first = filter] = topics
  const seen = first.split('/')
  const last = seen.length - 1
  const varying = varyingLevels(topics.filter((topic) => topic.split('/').length === seen.length))
  const nameVaries = !isDocument && varying.includes(last) && last > 0
  const others = varying.filter((level) => !nameVaries || level !== last)
  const guessed = last > 0 && (!isDocument || KIND_OF_MESSAGE.test(seen[last] ?? '')) ? last - 1 : last
  const device = others.length === 1 ? (others[0] ?? guessed) : guessed
  const levels = seen.map((level, index) => {
    if (index === device) return '{device}'
    if (index === last && nameVaries) return '{name}'
    return others.includes(index) ? `{level${index + 1}}` : literal(level)
  })
  const reason =
    others.length === 1 ? `only level ${device + 1} tells devices apart` : 'which level is the device is a guess'
  return shape(levels, isDocument, reason)
}

/** The pattern that takes this topic and hardly another. */
export const topicAsItIs = (topic: string, isDocument: boolean): TopicShape => ({
  pattern: topic.split('/').map(literal).join('/'),
  // Braces would be captures.
  device: topic.replace(/[{}]/g, '-'),
  ...(isDocument ? {} : { name: 'value' }),
  reason: 'the topic as it is',
})

const shape = (levels: readonly string[], isDocument: boolean, reason: string): TopicShape => {
  const pattern = levels.join('/')
  const last = levels.at(-1) ?? ''
  // The device alone on the topic: what its one value is called, nobody said.
  return isDocument ? { pattern, reason } : { pattern, name: last === '{device}' ? 'value' : last, reason }
}

const varyingLevels = (topics: readonly string[]): readonly number[] => {
  const [first = ''] = topics
  return first.split('/').flatMap((level, index) => {
    return topics.every((topic) => topic.split('/')[index] === level) ? [] : [index]
  })
}

// Braces are what captures are written with.
const literal = (level: string): string => (/[{}+#]/.test(level) && level !== '#' ? '+' : level)
