// A machine whose wall clock the test sets, for a program that runs under libfaketime: monotonic time stays the kernel's.

import { existsSync, readdirSync } from 'node:fs'
import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Debian keeps libraries in a directory of each architecture. */
const LIBRARIES = '/usr/lib'
const LIBRARY = 'faketime/libfaketime.so.1'

const findLibrary = (): string | undefined => {
  if (!existsSync(LIBRARIES)) return undefined
  return readdirSync(LIBRARIES)
    .map((name) => join(LIBRARIES, name, LIBRARY))
    .find((path) => existsSync(path))
}
const library = findLibrary()

/** The options of a test that sets the clock. */
export const needsFaketime: { readonly skip: string | false } = {
  skip: library !== undefined || process.env['CI'] === 'true' ? false : 'needs libfaketime, not installed',
}

export interface FakeClock {
  /** For the program that is to see this clock. */
  readonly env: Readonly<Record<string, string>>
  /** The wall clock says this from now on, and goes on from there. Times are UTC. */
  set(timeMs: number): Promise<void>
}

/** `directory`: for the file that says what time it is. */
export const fakeClock = async (directory: string, timeMs: number): Promise<FakeClock> => {
  const file = join(directory, 'faketime')
  const set = async (ms: number) => {
    // Seen whole or not at all.
    const text = new Date(ms).toISOString().replace('T', ' ').slice(0, 19)
    await writeFile(`${file}.new`, `@${text}\n`)
    await rename(`${file}.new`, file)
  }
  await set(timeMs)
  return {
    set,
    env: {
      LD_PRELOAD: library ?? `${LIBRARIES}/${LIBRARY} is missing`,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      FAKETIME_NO_CACHE: '1',
      TZ: 'UTC',
    },
  }
}
