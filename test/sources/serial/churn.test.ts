import { readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { crc32 } from 'node:zlib'
import { test } from 'tap'
import { temporaryDirectory } from '../../support/directory.ts'
import { needs } from '../../support/needs.ts'
import { SerialPair } from '../../support/serial-pair.ts'
import { type StartedSource, startSerial } from '../../support/serial-source.ts'
import { until } from '../../support/until.ts'

const PORTS = 20
const RUN_MS = process.env['TIDEGATE_LONG'] === '1' ? 120_000 : 12_000
const REPLUG_MS = 2_000

const frameOf = (port: number, number: number): string => {
  const text = `${port},${number},${'x'.repeat((number * 7) % 90)}`
  return `${text},${crc32(text).toString(16)}`
}

/** The device at the other end: plugged in and pulled out at any moment, also in the middle of a frame. */
class Churned {
  readonly sure: string[] = []
  readonly attempted = new Set<string>()
  replugs = 0
  slowestMs = 0
  readonly #port: number
  readonly #cable: SerialPair
  readonly #started: StartedSource
  #number = 0

  constructor(port: number, cable: SerialPair, started: StartedSource) {
    this.#port = port
    this.#cable = cable
    this.#started = started
  }

  async live(endsMs: number): Promise<void> {
    while (performance.now() < endsMs) {
      await this.#plugIn()
      // The tail of a frame, as seen by who opens in the middle of it.
      await this.#cable.write(`${frameOf(this.#port, this.#number).slice(3)}\n`)
      const frames = Array.from({ length: Math.floor(Math.random() * 12) }, () => this.#next())
      for (const frame of frames) await this.#writeInPieces(`${frame}\n`)
      const seen = new Set(this.#started.frames())
      await until('what was written completely', () => {
        for (const frame of this.#started.frames()) seen.add(frame)
        return frames.every((frame) => seen.has(frame))
      })
      this.sure.push(...frames)
      // What is written right before the plug is pulled may arrive, whole or not at all.
      const last = `${this.#next()}\n`
      await this.#cable.write(last.slice(0, Math.floor(Math.random() * last.length) + 1))
      if (Math.random() < 0.5) await sleep(Math.random() * 300)
      await this.#cable.unplug()
      if (Math.random() < 0.7) await sleep(Math.random() * 900)
    }
    await this.#plugIn()
  }

  async #plugIn(): Promise<void> {
    const before = Number(this.#started.source.health().detail?.['openings'])
    await this.#cable.plug()
    const pluggedMs = performance.now()
    await until(
      `port ${this.#port} is found again`,
      () => Number(this.#started.source.health().detail?.['openings']) > before,
      10_000,
    )
    this.replugs++
    this.slowestMs = Math.max(this.slowestMs, performance.now() - pluggedMs)
  }

  #next(): string {
    const frame = frameOf(this.#port, this.#number++)
    this.attempted.add(frame)
    return frame
  }

  async #writeInPieces(text: string): Promise<void> {
    const cut = Math.floor(Math.random() * text.length)
    await this.#cable.write(text.slice(0, cut))
    if (Math.random() < 0.3) await sleep(Math.random() * 20)
    await this.#cable.write(text.slice(cut))
  }
}

const descriptors = (): number => readdirSync('/proc/self/fd').length

test(`${PORTS} ports are unplugged and re-plugged at random: no wrong frame, none twice, none missing, no descriptor leaked`, {
  ...needs('socat'),
  timeout: RUN_MS + 60_000,
}, async (t) => {
  const directory = await temporaryDirectory(t)
  const before = descriptors()
  const cables = Array.from({ length: PORTS }, (_, port) => new SerialPair(directory, `tty${port}`))
  t.teardown(async () => void (await Promise.all(cables.map((cable) => cable.unplug()))))
  const started = await Promise.all(
    cables.map(({ path }, port) => startSerial(t, { path, device: `port${port}` }, [], `port${port}`)),
  )
  const churned = cables.map((cable, port) => new Churned(port, cable, started[port] as StartedSource))
  const endsMs = performance.now() + RUN_MS
  await Promise.all(churned.map((one) => one.live(endsMs)))

  for (const [port, { sure, attempted, replugs, slowestMs }] of churned.entries()) {
    const frames = started[port]?.frames() ?? []
    t.same(
      frames.filter((frame) => !attempted.has(frame)),
      [],
      `port ${port}: every frame is one that was written`,
    )
    t.equal(new Set(frames).size, frames.length, `port ${port}: none came twice`)
    const seen = new Set(frames)
    t.same(
      sure.filter((frame) => !seen.has(frame)),
      [],
      `port ${port}: none is missing`,
    )
    t.ok(slowestMs < REPLUG_MS, `port ${port}: the slowest of ${replugs} re-plugs took ${Math.round(slowestMs)} ms`)
  }
  t.comment(`${churned.reduce((sum, { replugs }) => sum + replugs, 0)} re-plugs`)
  t.comment(`slowest ${Math.round(Math.max(...churned.map(({ slowestMs }) => slowestMs)))} ms`)
  t.comment(`${started.reduce((sum, { frames }) => sum + frames().length, 0)} frames`)
  await Promise.all(started.map(({ source }) => source.close()))
  await Promise.all(cables.map((cable) => cable.unplug()))
  await until('every descriptor is closed', () => descriptors() <= before + 1)
})
