// MQTT Topic Names and Topic Filters: validate and match. MQTT 3.1.1, 4.7.

/** Bytes of UTF-8 that a Topic Name or Topic Filter may have ([MQTT-4.7.3-3]). */
const MAX_TOPIC_BYTES = 65_535
/** Deeper names are refused: matching walks the levels, and no sensor needs more. */
const MAX_TOPIC_LEVELS = 128

/** Why the text is not a Topic Name, or undefined when it is one. */
export const topicNameFault = (topic: string): string | undefined => {
  if (/[+#]/.test(topic)) return 'contains a wildcard character' // [MQTT-3.3.2-2]
  return textFault(topic)
}

/** Why the text is not a Topic Filter, or undefined when it is one. */
export const topicFilterFault = (filter: string): string | undefined => {
  const fault = textFault(filter)
  if (fault !== undefined) return fault
  const levels = filter.split('/')
  const misplaced = levels.find((level, index) => {
    if (level === '#') return index !== levels.length - 1 // [MQTT-4.7.1-2]
    return level !== '+' && /[+#]/.test(level) // [MQTT-4.7.1-3]
  })
  return misplaced === undefined ? undefined : `has a misplaced wildcard in level '${misplaced}'`
}

/** Compiles a valid Topic Filter into a predicate over Topic Names. */
export const topicMatcher = (filter: string): ((topic: string) => boolean) => {
  if (!/[+#]/.test(filter)) return (topic) => topic === filter
  if (filter === '#') return (topic) => !topic.startsWith('$') // [MQTT-4.7.2-1]
  const levels = filter.split('/')
  const open = levels.at(-1) === '#'
  if (open) levels.pop()
  const guardsDollar = levels[0] === '+'
  return (topic) => {
    if (guardsDollar && topic.startsWith('$')) return false // [MQTT-4.7.2-1]
    let start = 0
    for (const [index, level] of levels.entries()) {
      if (start > topic.length) return false
      const slash = topic.indexOf('/', start)
      const end = slash === -1 ? topic.length : slash
      if (level !== '+' && (end - start !== level.length || !topic.startsWith(level, start))) return false
      start = end + 1
      // "a/#" also matches "a" itself (MQTT 3.1.1, 4.7.1.2).
      if (index === levels.length - 1) return open || end === topic.length
    }
    return open
  }
}

/** Whether the Topic Name matches the Topic Filter; compile a matcher for more than one look. */
export const topicMatches = (filter: string, topic: string): boolean => topicMatcher(filter)(topic)

const textFault = (text: string): string | undefined => {
  if (text.length === 0) return 'is empty' // [MQTT-4.7.3-1]
  if (Buffer.byteLength(text) > MAX_TOPIC_BYTES) return `is longer than ${MAX_TOPIC_BYTES} bytes`
  // NUL is forbidden ([MQTT-4.7.3-2]); other control characters, U+FFFD of broken UTF-8 and lone surrogates should not occur (1.5.3).
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (/[\u0000-\u001f\u007f-\u009f\ufffd]|[\ud800-\udfff]/u.test(text))
    return 'contains a control character or broken UTF-8'
  let levels = 1
  for (let index = text.indexOf('/'); index !== -1; index = text.indexOf('/', index + 1)) levels++
  return levels > MAX_TOPIC_LEVELS ? `has more than ${MAX_TOPIC_LEVELS} levels` : undefined
}
