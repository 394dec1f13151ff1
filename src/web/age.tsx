// Ages that count by themselves: one timer for the page writes the text of those elements whose text changed, past the
// virtual DOM, so that two thousand of them cost a few milliseconds a second.

import { Component } from 'preact'
import { ageText, isoText } from './format.ts'

const TICK_MS = 1_000
/** Younger than this is shown as fresh. */
const FRESH_MS = 3_000

const elements = new Map<HTMLTimeElement, number>()
let clockOffsetMs = 0

/** Ages are told by the gateway's clock, which made the times; it may be years behind this browser's. */
export const setClockOffset = (offsetMs: number): void => {
  const turned = Math.abs(offsetMs - clockOffsetMs) > TICK_MS
  clockOffsetMs = offsetMs
  if (turned) refreshAges()
}

const gatewayNow = (): number => Date.now() + clockOffsetMs

export const startAges = (): void => {
  setInterval(() => {
    if (!document.hidden) refreshAges()
  }, TICK_MS)
}

export const refreshAges = (): void => {
  const now = gatewayNow()
  for (const [element, timeMs] of elements) write(element, now - timeMs)
}

const write = (element: HTMLTimeElement, ageMs: number): void => {
  const text = ageText(ageMs)
  if (element.textContent !== text) element.textContent = text
  const fresh = ageMs < FRESH_MS
  if (element.classList.contains('fresh') !== fresh) element.classList.toggle('fresh', fresh)
}

export interface AgeProps {
  readonly timeMs: number
  /** The time as text, where it was given as such; shown in the title. */
  readonly title?: string
}

export class Age extends Component<AgeProps> {
  #element: HTMLTimeElement | null = null

  override shouldComponentUpdate(next: Readonly<AgeProps>): boolean {
    return next.timeMs !== this.props.timeMs || next.title !== this.props.title
  }

  override componentDidMount(): void {
    this.#show()
  }

  override componentDidUpdate(): void {
    this.#show()
  }

  override componentWillUnmount(): void {
    if (this.#element !== null) elements.delete(this.#element)
  }

  #show(): void {
    if (this.#element === null) return
    elements.set(this.#element, this.props.timeMs)
    write(this.#element, gatewayNow() - this.props.timeMs)
  }

  override render() {
    const iso = isoText(this.props.timeMs)
    return (
      <time
        class="age"
        dateTime={iso}
        title={this.props.title ?? iso}
        ref={(element) => {
          // Preact calls this with null before it unmounts; the element is still needed then.
          if (element !== null) this.#element = element
        }}
      />
    )
  }
}
