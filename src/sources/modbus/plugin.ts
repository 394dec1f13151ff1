// The plug-in 'modbus': its configuration and what it creates.

import { TidegateError } from '../../core/errors.ts'
import type { SourcePlugin } from '../../core/plugin-contract.ts'
import { topicNameFault } from '../../core/topic.ts'
import { type OpenChannel, type SerialLine, serialChannel, tcpChannel } from './channel.ts'
import type { Framing } from './frame-port.ts'
import { ModbusSource } from './source.ts'
import type { UnitSettings } from './unit.ts'

const DEFAULT_PORT = 502
const DEFAULT_BAUD_RATE = 9_600
const DEFAULT_TIMEOUT_MS = 1_000
const DEFAULT_UNIT = 1
/** RS-485 carries 247 addresses (MODBUS over serial line V1.02, 2.2). Some devices and gateways use those up to 255. */
const MAX_UNIT = 255
const MAX_UNITS = 247
/** Start, data, parity or stop, stop (2.5.1). */
const BITS_OF_CHARACTER = 11
/** 3.5 characters between frames (2.5.1.1), from 19200 baud on a fixed time. */
const CHARACTERS_BETWEEN = 3.5
const LEAST_DELAY_MS = 1.75

interface WrittenUnit {
  readonly unit?: number
  readonly profile?: string
  readonly device?: string
  readonly every?: number
  readonly timeout?: number
}

/** As accepted, durations in milliseconds. */
interface ModbusConfig extends WrittenUnit, Partial<SerialLine> {
  readonly url?: string
  readonly host?: string
  readonly port?: number
  readonly interFrameDelay?: number
  readonly units?: readonly WrittenUnit[]
}

const duration = (least: string, most: string, description: string) => ({
  type: 'string',
  format: 'duration',
  formatMinimum: least,
  formatMaximum: most,
  description,
})

const ofUnit = {
  unit: {
    type: 'integer',
    minimum: 1,
    maximum: MAX_UNIT,
    description: 'Address on the bus; 1 by default. 0, the broadcast, is none',
  },
  profile: { type: 'string', minLength: 1, description: 'Device profile with a section modbus' },
  device: {
    type: 'string',
    minLength: 1,
    maxLength: 1_000,
    description: 'Name of the device; that of the source by default',
  },
  every: duration('50ms', '1d', 'How often it is asked; the profile says it by default'),
  timeout: duration('10ms', '1m', 'How long it may take to answer; 1s by default, or as the profile says'),
}

export const plugin: SourcePlugin = {
  kind: 'source',
  type: 'modbus',
  schema: {
    type: 'object',
    description: 'Asks Modbus devices, over a serial line (RTU) or TCP, for the registers that their profiles list',
    additionalProperties: false,
    properties: {
      path: {
        type: 'string',
        minLength: 2,
        format: 'device-path',
        description: 'Serial port, best by a stable name: /dev/serial/by-id/…',
      },
      baudRate: { type: 'integer', minimum: 300, maximum: 4_000_000, description: '9600 by default' },
      dataBits: { type: 'integer', enum: [7, 8], description: '8 by default' },
      parity: { type: 'string', enum: ['none', 'even', 'odd'], description: 'none by default' },
      stopBits: { type: 'integer', enum: [1, 2], description: '1 by default' },
      url: {
        type: 'string',
        pattern: '^(tcp|rtu\\+tcp)://',
        description: 'tcp://HOST:PORT for Modbus TCP, rtu+tcp://HOST:PORT for a serial device server',
      },
      host: { type: 'string', minLength: 1, description: 'Host for Modbus TCP, instead of url' },
      port: { type: 'integer', minimum: 1, maximum: 65_535, description: 'TCP port; 502 by default' },
      interFrameDelay: duration('0ms', '10s', 'Silence before each request; 3.5 characters by default, none for TCP'),
      ...ofUnit,
      units: {
        type: 'array',
        minItems: 1,
        maxItems: MAX_UNITS,
        description: 'Several devices on one bus; every and timeout above hold for those that say none',
        items: { type: 'object', additionalProperties: false, required: ['unit', 'profile'], properties: ofUnit },
      },
    },
  },
  bindings: (config, name) =>
    unitsOf(config as ModbusConfig, name).map(({ device, profile }) => ({
      source: name,
      topic: device,
      profile,
      device,
    })),
  create: (config, context) => {
    const accepted = config as ModbusConfig
    const { name, profile } = context
    const line = lineOf(accepted, name)
    const units = unitsOf(accepted, name).map(({ every, timeout, ...unit }): UnitSettings => {
      const timeoutMs = timeout ?? profile(unit.profile)?.modbus?.timeoutMs ?? DEFAULT_TIMEOUT_MS
      return { ...unit, everyMs: every, timeoutMs }
    })
    return new ModbusSource({ ...line, units }, context)
  },
}

interface NamedUnit extends WrittenUnit {
  readonly unit: number
  readonly profile: string
  readonly device: string
}

/** Throws TG_CONFIG_INVALID for what a schema cannot say. */
const unitsOf = (config: ModbusConfig, name: string): readonly NamedUnit[] => {
  const { units, unit, profile, device, every, timeout } = config
  if (units !== undefined && (unit !== undefined || profile !== undefined || device !== undefined))
    throw invalid(name, 'write unit, profile and device at each of the units')
  const common = { ...(every === undefined ? {} : { every }), ...(timeout === undefined ? {} : { timeout }) }
  const named = (units ?? [config]).map((one): NamedUnit => {
    if (one.profile === undefined) throw invalid(name, 'lacks the key profile')
    const number = one.unit ?? DEFAULT_UNIT
    const own = {
      ...(one.every === undefined ? {} : { every: one.every }),
      ...(one.timeout === undefined ? {} : { timeout: one.timeout }),
    }
    const named = one.device ?? (units === undefined ? name : `${name}/${number}`)
    return { ...common, ...own, unit: number, profile: one.profile, device: named }
  })
  for (const [index, one] of named.entries()) {
    const fault = topicNameFault(one.device)
    if (fault !== undefined) throw invalid(name, `the device '${one.device}' ${fault}`)
    const others = named.slice(0, index)
    if (others.some((other) => other.unit === one.unit)) throw invalid(name, `unit ${one.unit} stands there twice`)
    if (others.some((other) => other.device === one.device))
      throw invalid(name, `the device ${one.device} stands there twice`)
  }
  return checkedLine(config, name, named)
}

// bindings() is called by `tidegate check`, too, which opens nothing: what is wrong with the line shows there.
const checkedLine = <T>(config: ModbusConfig, name: string, result: T): T => {
  lineOf(config, name)
  return result
}

interface Line {
  readonly open: OpenChannel
  readonly framing: Framing
  readonly where: string
  readonly interFrameDelayMs: number
}

const lineOf = (config: ModbusConfig, name: string): Line => {
  const { path, url, host, port, baudRate, dataBits, parity, stopBits, interFrameDelay } = config
  if ([path, url, host].filter((one) => one !== undefined).length !== 1)
    throw invalid(name, 'needs one of path (serial), url or host (TCP)')
  if (path !== undefined) {
    if (port !== undefined) throw invalid(name, 'has a port, which only host has; a serial port is a path')
    const line: SerialLine = {
      path,
      baudRate: baudRate ?? DEFAULT_BAUD_RATE,
      dataBits: dataBits ?? 8,
      parity: parity ?? 'none',
      stopBits: stopBits ?? 1,
    }
    const characterMs = (BITS_OF_CHARACTER * 1_000) / line.baudRate
    const interFrameDelayMs = interFrameDelay ?? Math.max(LEAST_DELAY_MS, CHARACTERS_BETWEEN * characterMs)
    return { open: serialChannel(line), framing: 'rtu', where: path, interFrameDelayMs }
  }
  if ((baudRate ?? dataBits ?? parity ?? stopBits) !== undefined)
    throw invalid(name, 'has settings of a serial line, which TCP has not')
  const address = host === undefined ? addressOf(url ?? '', name) : { host, port: port ?? DEFAULT_PORT }
  if (url !== undefined && port !== undefined) throw invalid(name, 'write the port into the url')
  const framing = url?.startsWith('rtu+') === true ? 'rtu' : 'tcp'
  return {
    open: tcpChannel(address),
    framing,
    where: `${address.host}:${address.port}`,
    interFrameDelayMs: interFrameDelay ?? 0,
  }
}

const addressOf = (text: string, name: string) => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const extra =
    url === undefined ? '' : `${url.username}${url.password}${url.search}${url.hash}${url.pathname.replace(/^\/$/, '')}`
  if (url === undefined || url.hostname === '' || extra !== '')
    throw invalid(name, 'needs a url such as tcp://192.168.1.20:502')
  // An IPv6 address stands in brackets in a URL, and without them everywhere else.
  return { host: url.hostname.replace(/^\[|\]$/g, ''), port: url.port === '' ? DEFAULT_PORT : Number(url.port) }
}

const invalid = (name: string, message: string): TidegateError =>
  new TidegateError('TG_CONFIG_INVALID', `sources[${name}]: ${message}`)
