// One line at the bottom of a terminal that is drawn again and again. Log lines clear it before they are written (see
// ops/logger.ts), whichever thread they come from, and the next drawing puts it below them.

import { printable } from './format.ts'
import type { Io } from './io.ts'

/** Back to the first column, and clear to the end of the line. */
const CLEAR = '\r\u001b[K'
/** A line that wraps could not be taken back; the width of a terminal is not known here. */
const MAX_LENGTH = 100

export class StatusLine {
  readonly #stream: Io['stdout']
  #text = ''

  constructor(stream: Io['stdout']) {
    this.#stream = stream
  }

  draw(text: string): void {
    this.#text = printable(text).slice(0, MAX_LENGTH)
    this.#stream.write(CLEAR + this.#text)
  }

  clear(): void {
    if (this.#text !== '') this.#stream.write(CLEAR)
    this.#text = ''
  }
}
