#!/usr/bin/env node
// The process: verbs, signals, exit codes. Nothing else reads process.*

import { writeSync } from 'node:fs'
import type { Io } from './cli/io.ts'
import { runVerb } from './cli/verb.ts'
import { verbs } from './cli/verbs.ts'
import { nearest } from './config/nearest.ts'
import { redactText } from './core/redaction.ts'
import { version } from './ops/version.ts'

/** After a verb has returned, whatever still keeps the process alive is a fault; it is named and the process ends. */
const EXIT_GRACE_MS = 5_000
const STDERR = 2
/** By convention 128 plus the number of the signal. */
const signalNumbers = { SIGINT: 2, SIGTERM: 15 } as const

const main = async (): Promise<number> => {
  const [name, ...args] = process.argv.slice(2)
  if (name === '--version' || name === '-V') {
    process.stdout.write(`tidegate ${version()}\n`)
    return 0
  }
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    const stream = name === undefined ? process.stderr : process.stdout
    stream.write(help())
    return name === undefined ? 2 : 0
  }
  const entry = verbs.find((verb) => verb.name === name)
  if (entry === undefined) {
    const meant = nearest(
      name,
      verbs.map((verb) => verb.name),
    )
    const hint = meant === undefined ? '' : `; did you mean '${meant}'?`
    process.stderr.write(`tidegate: unknown verb '${name}'${hint}\nSee 'tidegate --help'.\n`)
    return 2
  }
  return runVerb(await entry.load(), args, processIo(name === 'run' ? () => undefined : failOutput))
}

/** `onOutputFault`: what becomes of output that cannot be written. */
const processIo = (onOutputFault: (error: Error) => void): Io => ({
  // Opened only when a verb reads it.
  get stdin() {
    return process.stdin
  },
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  signal: untilSignal(onOutputFault),
})

const help = (): string => {
  const width = Math.max(...verbs.map(({ name }) => name.length))
  const lines = verbs.map(({ name, summary }) => `  ${name.padEnd(width)}   ${summary}`)
  return `tidegate ${version()}: MQTT in, a durable log, AMQP out, live values on the way

Usage: tidegate VERB [options]

${lines.join('\n')}

'tidegate VERB --help' explains a verb; --version prints the version.
Exit codes: 0 done, 1 failed at run time, 2 wrong usage or invalid configuration.
`
}

// The first signal asks the verb to finish; the second ends the process at once.
const untilSignal = (onOutputFault: (error: Error) => void): AbortSignal => {
  const controller = new AbortController()
  for (const [name, number] of Object.entries(signalNumbers)) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(128 + number)
      controller.abort(new Error(`${name} received`))
    })
  }
  // Whoever read our output has gone (`tidegate tail | head`): that is an end like Ctrl-C, and no fault.
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') controller.abort(error)
      else onOutputFault(error)
    })
  }
  return controller.signal
}

// A full disk behind `tidegate log export > FILE`. A gateway goes on: what it prints is for whoever looks on.
const failOutput = (error: Error): void => {
  try {
    writeSync(STDERR, `tidegate: the output cannot be written: ${error.message}\n`)
  } finally {
    process.exit(1)
  }
}

const die = (error: unknown): void => {
  const text = redactText(error instanceof Error ? (error.stack ?? error.message) : String(error))
  const prefix = process.env['JOURNAL_STREAM'] === undefined ? '' : '<2>'
  try {
    writeSync(
      STDERR,
      `${prefix}tidegate: a fault inside tidegate, please report it: ${text.replaceAll('\n', `\n${prefix}`)}\n`,
    )
  } finally {
    process.exit(1)
  }
}

const leave = (code: number): void => {
  process.exitCode = code
  // Not referenced: it only fires when something else keeps the process alive, which is what it is there to report.
  setTimeout(() => {
    const held = process.getActiveResourcesInfo().join(', ')
    process.stderr.write(`tidegate: did not come to an end by itself (${held})\n`)
    process.exit(code)
  }, EXIT_GRACE_MS).unref()
}

process.on('uncaughtException', die)
main().then(leave, die)
