// A serial line for Modbus tests: two ends of a pair of pseudo-terminals made by socat, which can be pulled out and plugged in.

import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryDirectory } from './directory.ts'
import { until } from './until.ts'

type Test = Parameters<typeof temporaryDirectory>[0]

export class ModbusLine {
  /** The gateway's end. */
  readonly path: string
  /** The device's end. */
  readonly far: string
  #socat: ChildProcess | undefined
  #ended: Promise<unknown> = Promise.resolve()

  constructor(directory: string) {
    this.path = join(directory, 'near')
    this.far = join(directory, 'far')
  }

  async plug(): Promise<void> {
    const socat = spawn('/usr/bin/socat', [
      '-d',
      '-d',
      ...[this.path, this.far].map((link) => `pty,raw,echo=0,link=${link}`),
    ])
    this.#socat = socat
    this.#ended = new Promise((resolve) => socat.once('close', resolve))
    let said = ''
    socat.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-4_000)
    })
    await until('socat makes a pair', () => said.includes('starting data transfer') && existsSync(this.path))
  }

  async unplug(): Promise<void> {
    this.#socat?.kill()
    await this.#ended
    this.#socat = undefined
  }
}

export const modbusLine = async (t: Test): Promise<ModbusLine> => {
  const line = new ModbusLine(await temporaryDirectory(t))
  t.teardown(() => line.unplug())
  await line.plug()
  return line
}
