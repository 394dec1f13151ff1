// The file {data}/log/clocks: for each boot that began without a set clock, what its monotonic times are to be corrected
// by. So every reader finds it at once, although the clock mark stands behind the messages that it is about. Replaced by
// rename, made anew from the clock marks when it is lost; garbage in it counts as nothing.
//
// Text: `tidegate clocks 1 CRC`, the CRC-32 of everything behind that line in eight hexadecimal digits; then a line for each
// boot, `BOOTID CORRECTION`, in whole microseconds, or `BOOTID -` where the log holds no mark of it and never will.

import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { systemCode } from '../core/errors.ts'
import type { FileSystem } from './file-system.ts'
import { readFully, writeFully } from './file-system.ts'

export const CLOCKS_NAME = 'clocks'
/** Boots that are remembered; the log has few segments of each. */
const MAX_BOOTS = 4_096
/** More than that many lines can have. */
const MAX_FILE_BYTES = 1024 * 1024
const HEAD = 'tidegate clocks 1 '

/** By boot id, milliseconds; undefined where there is nothing to correct by. */
type ClockIndex = ReadonlyMap<string, number | undefined>

const encodeClockIndex = (index: ClockIndex): Buffer => {
  let text = ''
  for (const [bootId, correctionMs] of [...index].slice(-MAX_BOOTS))
    text += `${bootId} ${correctionMs === undefined ? '-' : Math.round(correctionMs * 1_000)}\n`
  return Buffer.from(`${HEAD}${crcText(text)}\n${text}`)
}

/** Empty for anything that encodeClockIndex did not write. */
const decodeClockIndex = (bytes: Buffer): Map<string, number | undefined> => {
  const index = new Map<string, number | undefined>()
  const text = bytes.toString('utf8')
  const end = text.indexOf('\n')
  const body = text.slice(end + 1)
  if (end === -1 || text.slice(0, end) !== `${HEAD}${crcText(body)}`) return index
  for (const line of body.split('\n')) {
    const [bootId = '', word = ''] = line.split(' ')
    if (bootId === '') continue
    if (word === '-') index.set(bootId, undefined)
    else if (Number.isSafeInteger(Number(word))) index.set(bootId, Number(word) / 1_000)
  }
  return index
}

/** Empty when there is none. Rejects only when the disk cannot be read. */
export const readClockIndex = async (
  fileSystem: FileSystem,
  directory: string,
): Promise<Map<string, number | undefined>> => {
  try {
    const handle = await fileSystem.open(join(directory, CLOCKS_NAME), 'read')
    try {
      const bytes = Buffer.allocUnsafe(Math.min(await handle.size(), MAX_FILE_BYTES))
      const length = await readFully(handle, bytes, 0, bytes.length, 0)
      return decodeClockIndex(bytes.subarray(0, length))
    } finally {
      await handle.close()
    }
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return new Map()
    throw error
  }
}

/** Durable once resolved. A stop in the middle leaves the file before it, and another that is removed at open. */
export const writeClockIndex = async (
  fileSystem: FileSystem,
  directory: string,
  index: ClockIndex,
): Promise<number> => {
  const path = join(directory, CLOCKS_NAME)
  const bytes = encodeClockIndex(index)
  const handle = await fileSystem.open(`${path}.new`, 'replace')
  try {
    await writeFully(handle, bytes, 0, bytes.length, 0)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await fileSystem.rename(`${path}.new`, path)
  await fileSystem.syncDirectory(directory)
  return bytes.length
}

const crcText = (text: string): string => crc32(text).toString(16).padStart(8, '0')
