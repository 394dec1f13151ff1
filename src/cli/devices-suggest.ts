// tidegate devices suggest: a draft of a device profile from what the log holds about a topic. Also while the gateway runs.

import { writeFile } from 'node:fs/promises'
import type { Entry } from '../core/contract.ts'
import { describe, systemCode } from '../core/errors.ts'
import { topicFilterFault, topicMatcher } from '../core/topic.ts'
import { suggestProfile } from '../decode/suggest/draft.ts'
import { inspectLog } from '../log/inspect.ts'
import type { Io } from './io.ts'
import { configuredDecoding } from './known-profiles.ts'
import { dataDirectory, readerOf } from './log-data.ts'
import { UsageError } from './verb.ts'

const PAGE = { entries: 4_096, bytes: 4 * 1024 * 1024 }
/** The newest messages, which the draft is made from. */
const MAX_MESSAGES = 500

export interface SuggestValues {
  readonly topic?: string
  readonly name?: string
  readonly out?: string
  readonly data?: string
  readonly config?: string
}

export const suggestDevice = async (values: SuggestValues, io: Io): Promise<number> => {
  const { topic, name, out } = values
  if (topic === undefined) throw new UsageError('say which topic: --topic FILTER')
  const fault = topicFilterFault(topic)
  if (fault !== undefined) throw new UsageError(`--topic '${topic.slice(0, 100)}' ${fault}`)
  if (name !== undefined && !/^[a-z0-9][a-z0-9-]{0,63}$/.test(name))
    throw new UsageError('--name is small letters, digits and -, at most 64')
  const { decoders } = await configuredDecoding(values.config, io)
  const messages = await newestMessages(await dataDirectory(values, io), topic, io.signal)
  const yaml = suggestProfile(messages, { filter: topic, decoders, ...(name === undefined ? {} : { name }) })
  if (out === undefined) io.stdout.write(yaml)
  else {
    const fault = await writeNew(out, yaml)
    if (fault !== undefined) {
      io.stderr.write(`tidegate: ${fault}\n`)
      return 1
    }
    io.stdout.write(`${out}: a draft; look at the lines marked CHECK, then: tidegate devices test ${out}\n`)
  }
  return 0
}

const newestMessages = async (directory: string, filter: string, signal: AbortSignal): Promise<readonly Entry[]> => {
  const matches = topicMatcher(filter)
  const { last } = await inspectLog(directory)
  const reader = readerOf(directory)
  let newest: Entry[] = []
  try {
    for (let after = 0; after < last; ) {
      const { entries, next } = await reader.read(after, PAGE, { channel: (name) => name !== '' && matches(name) })
      signal.throwIfAborted()
      newest = [...newest, ...entries.filter(({ kind }) => kind === 'message')].slice(-MAX_MESSAGES)
      if (next === after) break
      after = next
    }
  } finally {
    await reader.close()
  }
  return newest
}

/** Undefined, or why it was not written. */
const writeNew = async (file: string, text: string): Promise<string | undefined> => {
  try {
    await writeFile(file, text, { flag: 'wx' })
    return undefined
  } catch (error) {
    const exists = systemCode(error) === 'EEXIST'
    return exists ? `${file} exists already and is left as it is` : `${file} cannot be written: ${describe(error)}`
  }
}
