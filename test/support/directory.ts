// A directory of the test's own, removed when the test ends.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export const temporaryDirectory = async (t: { teardown: (work: () => Promise<void>) => void }): Promise<string> => {
  const directory = await mkdtemp(join(tmpdir(), 'tidegate-test-'))
  t.teardown(() => rm(directory, { recursive: true, force: true, maxRetries: 3 }))
  return directory
}
