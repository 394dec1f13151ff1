import { readFile } from 'node:fs/promises'
import { test } from 'tap'
import { describe, errorTable, systemCode, TidegateError } from '../../src/core/errors.ts'

test('the table in src/README.md is the table in the code', async (t) => {
  const readme = await readFile(new URL('../../src/README.md', import.meta.url), 'utf8')
  const documented = readme.split('\n').filter((line) => line.startsWith('| `TG_'))
  const expected = Object.entries(errorTable).map(([code, [cause, remedy]]) => `| \`${code}\` | ${cause} | ${remedy} |`)
  t.same(documented, expected)
})

test('an error says what happened with its causes, and what to do', async (t) => {
  const cause = Object.assign(new Error('no space left'), { code: 'ENOSPC' })
  const error = new TidegateError('TG_LOG_WRITE', 'segment 1 cannot be written', { cause })
  t.equal(describe(error), 'segment 1 cannot be written: no space left')
  t.equal(describe(new Error(`it failed: ${describe(error)}`, { cause: error })), `it failed: ${describe(error)}`)
  t.equal(error.remedy, errorTable.TG_LOG_WRITE[1])
  t.equal(systemCode(cause), 'ENOSPC')
  t.equal(systemCode('ENOSPC'), undefined)
})
