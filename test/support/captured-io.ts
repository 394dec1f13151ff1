// The Io of a verb, for tests: what comes in is given, what goes out is kept.

import { Readable } from 'node:stream'
import type { Io } from '../../src/cli/io.ts'

export interface CapturedIo extends Io {
  readonly out: () => string
  readonly err: () => string
}

export const capturedIo = (input: string | Buffer = ''): CapturedIo => {
  const out: string[] = []
  const err: string[] = []
  return {
    stdin: Readable.from([Buffer.from(input)]),
    stdout: { write: (text: string) => out.push(text) },
    stderr: { write: (text: string) => err.push(text) },
    env: { HOME: '/nonexistent' },
    signal: new AbortController().signal,
    out: () => out.join(''),
    err: () => err.join(''),
  }
}
