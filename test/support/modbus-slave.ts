// Modbus devices that can misbehave: units with registers and coils behind one serial line or TCP port, which answer as a
// device does, or late, damaged, cut off, for another unit, with an exception, or not at all. Each request is remembered.

import { createServer, type Socket } from 'node:net'
import { SerialPort } from 'serialport'
import { modbusCrc } from '../../src/core/modbus.ts'

export type Manner =
  | 'right'
  | 'silent'
  | 'bad-crc'
  | 'truncated'
  | 'other-unit'
  | 'noise'
  | { readonly lateMs: number }
  | { readonly exception: number }

export interface SlaveRequest {
  readonly unit: number
  readonly code: number
  readonly address: number
  /** Addresses that are read; the value of a single write. */
  readonly count: number
  readonly atMs: number
}

export class SlaveUnit {
  readonly registers = new Map<number, number>()
  readonly coils = new Map<number, boolean>()
  manner: Manner = 'right'
  /** Addresses that exist; all of them where absent. */
  legal: ((code: number, address: number) => boolean) | undefined

  set(address: number, ...values: readonly number[]): this {
    for (const [index, value] of values.entries()) this.registers.set(address + index, value)
    return this
  }

  float(address: number, value: number): this {
    const bytes = Buffer.alloc(4)
    bytes.writeFloatBE(value)
    return this.set(address, bytes.readUInt16BE(0), bytes.readUInt16BE(2))
  }
}

export class ModbusSlave {
  readonly units = new Map<number, SlaveUnit>()
  readonly requests: SlaveRequest[] = []
  /** Requests that came while another was open: the master spoke out of turn. */
  readonly timers = new Set<NodeJS.Timeout>()
  #close: () => Promise<void> = async () => undefined
  port = 0

  unit(number: number): SlaveUnit {
    const unit = this.units.get(number) ?? new SlaveUnit()
    this.units.set(number, unit)
    return unit
  }

  count(unit: number): number {
    return this.requests.filter((request) => request.unit === unit).length
  }

  async serve(path: string): Promise<void> {
    const port = new SerialPort({ path, baudRate: 9_600, autoOpen: false })
    await new Promise<void>((resolve, reject) => port.open((error) => (error === null ? resolve() : reject(error))))
    port.on('error', () => undefined)
    let buffer = Buffer.alloc(0)
    port.on('data', (bytes: Buffer) => {
      buffer = Buffer.concat([buffer, bytes])
      for (let length = requestLength(buffer); length !== undefined; length = requestLength(buffer)) {
        const frame = buffer.subarray(0, length)
        buffer = buffer.subarray(length)
        this.#take(frame.subarray(0, -2), (body, manner) => {
          if (port.isOpen) port.write(damaged(withCrc(body), manner))
        })
      }
    })
    this.#close = async () => {
      if (port.isOpen) await new Promise<void>((resolve) => port.close(() => resolve()))
    }
  }

  /** Modbus TCP; or RTU frames over TCP, as serial device servers do. */
  async listen(framing: 'tcp' | 'rtu' = 'tcp'): Promise<void> {
    const sockets = new Set<Socket>()
    const server = createServer((socket) => {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
      socket.on('error', () => undefined)
      let buffer = Buffer.alloc(0)
      socket.on('data', (bytes) => {
        buffer = Buffer.concat([buffer, bytes])
        if (framing === 'rtu') {
          for (let length = requestLength(buffer); length !== undefined; length = requestLength(buffer)) {
            const frame = buffer.subarray(0, length)
            buffer = buffer.subarray(length)
            this.#take(frame.subarray(0, -2), (body, manner) => socket.write(damaged(withCrc(body), manner)))
          }
          return
        }
        while (buffer.length >= 6 && buffer.length >= 6 + buffer.readUInt16BE(4)) {
          const end = 6 + buffer.readUInt16BE(4)
          const header = Buffer.from(buffer.subarray(0, 6))
          const request = buffer.subarray(6, end)
          buffer = buffer.subarray(end)
          this.#take(request, (body) => {
            header.writeUInt16BE(body.length, 4)
            socket.write(Buffer.concat([header, body]))
          })
        }
      })
    })
    await new Promise<void>((resolve) => server.listen(this.port, '127.0.0.1', resolve))
    const address = server.address()
    if (typeof address === 'object' && address !== null) this.port = address.port
    this.#close = async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    }
  }

  async close(): Promise<void> {
    for (const timer of this.timers) clearTimeout(timer)
    await this.#close()
  }

  #take(request: Buffer, answer: (body: Buffer, manner: Manner) => void): void {
    const [number = 0, code = 0] = request
    const address = request.readUInt16BE(2)
    const count = request.readUInt16BE(4)
    this.requests.push({ unit: number, code, address, count, atMs: performance.now() })
    const unit = this.units.get(number)
    if (unit === undefined || unit.manner === 'silent') return
    const { manner } = unit
    const body = answered(unit, request, code, address, count)
    if (typeof manner === 'object' && 'lateMs' in manner) {
      const timer = setTimeout(() => {
        this.timers.delete(timer)
        answer(body, 'right')
      }, manner.lateMs)
      this.timers.add(timer)
    } else answer(body, manner)
  }
}

const answered = (unit: SlaveUnit, request: Buffer, code: number, address: number, count: number): Buffer => {
  const [number = 0] = request
  const exception = (value: number) => Buffer.of(number, code | 0x80, value)
  if (typeof unit.manner === 'object' && 'exception' in unit.manner) return exception(unit.manner.exception)
  const addresses = code <= 4 || code >= 15 ? count : 1
  for (let index = 0; index < addresses; index++) if (unit.legal?.(code, address + index) === false) return exception(2)
  switch (code) {
    case 1:
    case 2: {
      const bytes = Buffer.alloc(Math.ceil(count / 8))
      for (let index = 0; index < count; index++)
        if (unit.coils.get(address + index) === true) bytes[index >> 3] = (bytes[index >> 3] ?? 0) | (1 << (index & 7))
      return Buffer.concat([Buffer.of(number, code, bytes.length), bytes])
    }
    case 3:
    case 4: {
      const bytes = Buffer.alloc(2 * count)
      for (let index = 0; index < count; index++)
        bytes.writeUInt16BE(unit.registers.get(address + index) ?? 0, 2 * index)
      return Buffer.concat([Buffer.of(number, code, bytes.length), bytes])
    }
    case 5:
      unit.coils.set(address, count === 0xff00)
      return Buffer.from(request)
    case 6:
      unit.registers.set(address, count)
      return Buffer.from(request)
    case 16:
      for (let index = 0; index < count; index++)
        unit.registers.set(address + index, request.readUInt16BE(7 + 2 * index))
      return Buffer.from(request.subarray(0, 6))
    default:
      return exception(1)
  }
}

const damaged = (frame: Buffer, manner: Manner): Buffer => {
  if (manner === 'truncated') return frame.subarray(0, -3)
  if (manner === 'noise') return Buffer.concat([Buffer.of(0x00, frame[0] ?? 0, frame[1] ?? 0, 0xff), frame])
  if (manner === 'other-unit') {
    const body = Buffer.from(frame.subarray(0, -2))
    body[0] = (body[0] ?? 0) + 1
    return withCrc(body)
  }
  if (manner !== 'bad-crc') return frame
  const bad = Buffer.from(frame)
  bad[bad.length - 1] = (bad.at(-1) ?? 0) ^ 0xff
  return bad
}

// Requests to read or write one value have 8 bytes, those to write several say how many.
const requestLength = (buffer: Buffer): number | undefined => {
  if (buffer.length < 8) return undefined
  const length = (buffer[1] ?? 0) >= 15 ? 9 + (buffer[6] ?? 0) : 8
  return buffer.length < length ? undefined : length
}

const withCrc = (body: Buffer): Buffer => {
  const crc = Buffer.alloc(2)
  crc.writeUInt16LE(modbusCrc(body, 0, body.length))
  return Buffer.concat([body, crc])
}
