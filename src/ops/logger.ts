// The log of the process: readable lines on a terminal, JSON otherwise, and under journald JSON with the `<N>` priority
// that journald strips. Written synchronously, so the last line before an exit is not lost. Secrets do not pass.

import { fstatSync, writeSync } from 'node:fs'
import { type Logger as PinoLogger, pino } from 'pino'
import { prettyFactory } from 'pino-pretty'
import type { Logger } from '../core/contract.ts'
import { describe, systemCode, TidegateError } from '../core/errors.ts'
import { redactFields } from '../core/redaction.ts'

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]
export type LogFormat = 'pretty' | 'json' | 'journal'

export interface LoggerOptions {
  readonly level: LogLevel
  readonly format: LogFormat
  /** Takes one complete line; standard error unless given. */
  readonly write?: (line: string) => void
}

export interface RootLogger extends Logger {
  /** A logger whose every line carries these fields as well. */
  child(bindings: object): RootLogger
}

const STDERR = 2
/** A terminal may show a status line that is not ended: what is logged takes its place. */
const CLEAR_LINE = '\r\u001b[K'

// <syslog.h>, by pino's numbers of levels.
const priorities: Readonly<Record<number, string>> = {
  10: '<7>',
  20: '<7>',
  30: '<6>',
  40: '<4>',
  50: '<3>',
  60: '<2>',
}

export const createLogger = (options: LoggerOptions): RootLogger =>
  wrap(
    pino(
      {
        level: options.level,
        base: null,
        timestamp: pino.stdTimeFunctions.isoTime,
        formatters: { level: (label) => ({ level: label }), log: presentable },
      },
      destination(options.format, options.write ?? writeStderr),
    ),
  )

/** The level that a flag or TIDEGATE_LOG_LEVEL names; undefined when there is no such level. */
export const parseLogLevel = (text: string): LogLevel | undefined => logLevels.find((level) => level === text)

/** How standard error wants its lines: journald says in JOURNAL_STREAM which stream it reads. */
export const stderrFormat = (env: Readonly<Record<string, string | undefined>>, isTTY: boolean): LogFormat => {
  if (isTTY) return 'pretty'
  return isJournal(env['JOURNAL_STREAM'], STDERR) ? 'journal' : 'json'
}

/** Whether the descriptor is the stream that journald said it reads, as `device:inode`. */
export const isJournal = (journalStream: string | undefined, fd: number): boolean => {
  if (journalStream === undefined) return false
  try {
    const { dev, ino } = fstatSync(fd, { bigint: true })
    return journalStream === `${dev}:${ino}`
  } catch {
    return false // a closed descriptor is nobody's stream
  }
}

// The methods are pino's own: those below the level do nothing at all.
const wrap = (logger: PinoLogger): RootLogger => ({
  trace: logger.trace.bind(logger),
  debug: logger.debug.bind(logger),
  info: logger.info.bind(logger),
  warn: logger.warn.bind(logger),
  error: logger.error.bind(logger),
  child: (bindings) => wrap(logger.child(presentable(bindings))),
})

const destination = (format: LogFormat, write: (line: string) => void) => {
  switch (format) {
    case 'json':
      return { write }
    case 'journal':
      return {
        // pino sets lastLevel before each write to a stream that asks for it.
        [Symbol.for('pino.metadata')]: true,
        lastLevel: 30,
        write(line: string) {
          write(`${priorities[this.lastLevel] ?? '<6>'}${line}`)
        },
      }
    case 'pretty': {
      const pretty = prettyFactory({
        colorize: true,
        translateTime: 'SYS:HH:MM:ss.l',
        singleLine: true,
        errorLikeObjectKeys: [],
      })
      return { write: (line: string) => write(CLEAR_LINE + pretty(line)) }
    }
  }
}

// pino calls this only for lines that are written, so walking the fields is cheap enough.
const presentable = (fields: object): Record<string, unknown> => {
  const plain = Object.entries(fields).map(([key, value]) => [key, value instanceof Error ? errorFields(value) : value])
  return redactFields(Object.fromEntries(plain))
}

const errorFields = (error: Error): Record<string, unknown> => {
  const operating = error instanceof TidegateError
  const code = operating ? error.code : systemCode(error)
  return {
    message: describe(error),
    ...(code === undefined ? {} : { code }),
    // An operating error explains itself; anything else is a fault of the program, to be found by its stack.
    ...(operating ? { remedy: error.remedy } : { stack: error.stack }),
  }
}

let dropped = 0

/** Lines of this thread that standard error did not take. */
export const droppedLogLines = (): number => dropped

// A log that cannot be written must not stop the gateway: a full disk or a closed pipe behind it is somebody else's fault.
const writeStderr = (line: string): void => {
  try {
    writeSync(STDERR, line)
  } catch (error) {
    if (systemCode(error) === undefined) throw error
    // EAGAIN, for one: a pipe whose reader is slow. The line is dropped rather than the gateway stalled.
    dropped++
  }
}
