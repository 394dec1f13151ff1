// What a topic leads to, remembered in bounds: topics come from outside. Two generations; when the young one is full the old
// one goes.

/** Topics remembered: twice this many at most. Beyond, a topic is looked up again each time, which costs microseconds. */
const REMEMBERED_TOPICS = 4_096
/** Longer topics are not remembered: 65,535 bytes each would fill the memory. */
const LONGEST_REMEMBERED_TOPIC = 256

export class TopicMemory<Value extends object> {
  #young = new Map<string, Value>()
  #old = new Map<string, Value>()

  get(topic: string): Value | undefined {
    const young = this.#young.get(topic)
    if (young !== undefined) return young
    const old = this.#old.get(topic)
    if (old !== undefined) this.set(topic, old)
    return old
  }

  set(topic: string, value: Value): void {
    if (topic.length > LONGEST_REMEMBERED_TOPIC) return
    if (this.#young.size >= REMEMBERED_TOPICS) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(topic, value)
  }
}
