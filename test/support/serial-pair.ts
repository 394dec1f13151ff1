// A serial cable of two pseudo terminals, by socat: the gateway opens one end, the test is the device at the other. Unplugging
// kills socat; plugging in starts it again under the same names.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { type FileHandle, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { until } from './until.ts'

export class SerialPair {
  /** What a configuration names. */
  readonly path: string
  readonly #devicePath: string
  #socat: ChildProcess | undefined
  #device: FileHandle | undefined

  constructor(directory: string, name: string) {
    this.path = join(directory, name)
    this.#devicePath = join(directory, `${name}-device`)
  }

  get plugged(): boolean {
    return this.#socat !== undefined
  }

  async plug(): Promise<void> {
    const end = (link: string) => `pty,raw,echo=0,link=${link}`
    const socat = spawn('/usr/bin/socat', ['-d', '-d', end(this.path), end(this.#devicePath)], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    this.#socat = socat
    let said = ''
    socat.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    await until('socat connects both ends', () => said.includes('starting data transfer'))
    this.#device = await open(this.#devicePath, 'r+')
  }

  async unplug(): Promise<void> {
    const socat = this.#socat
    this.#socat = undefined
    const device = this.#device
    this.#device = undefined
    // As udev does: a name that is left behind would lead to the next pseudo terminal that gets the number.
    if (socat !== undefined) for (const link of [this.path, this.#devicePath]) await rm(link, { force: true })
    if (socat !== undefined && socat.exitCode === null && socat.signalCode === null) {
      const exited = once(socat, 'exit')
      socat.kill('SIGKILL')
      await exited
    }
    await device?.close()
  }

  /** As the device. */
  async write(bytes: string | Buffer): Promise<void> {
    await this.#device?.write(Buffer.from(bytes))
  }

  /** What the gateway has written, as soon as there is something. */
  async read(): Promise<string> {
    const buffer = Buffer.alloc(4_096)
    const result = await this.#device?.read(buffer, 0, buffer.length, null)
    return buffer.toString('latin1', 0, result?.bytesRead ?? 0)
  }
}
