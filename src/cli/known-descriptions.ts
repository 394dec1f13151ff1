// What the messages of a data directory told about others (births, discovery topics), for verbs that decode without a gateway.
// Reads only.

import { Knowledge } from '../decode/knowledge.ts'
import type { Router } from '../decode/router.ts'
import { readDescriptions } from '../log/description-file.ts'
import { nodeFileSystem } from '../log/file-system.ts'
import { readerOf } from './log-data.ts'

/** Rejects when the log cannot be read. */
export const learnFrom = async (directory: string, router: Router, signal: AbortSignal): Promise<void> => {
  const known = await readDescriptions({ directory, fileSystem: nodeFileSystem() })
  const knowledge = new Knowledge(router, () => readerOf(directory))
  try {
    // One that is damaged is the gateway's to set aside; the log is read instead.
    if (typeof known === 'object') knowledge.recall(known)
    await knowledge.reach(Number.POSITIVE_INFINITY, signal)
  } finally {
    await knowledge.close()
  }
}
