// A directory of the test's own, removed when the test ends, with whatever the test puts beside it (copies of it).

import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export const temporaryDirectory = async (t: { teardown: (work: () => Promise<void>) => void }): Promise<string> => {
  const outer = await mkdtemp(join(tmpdir(), 'tidegate-test-'))
  t.teardown(() => rm(outer, { recursive: true, force: true, maxRetries: 3 }))
  const directory = join(outer, 'directory')
  await mkdir(directory)
  return directory
}
