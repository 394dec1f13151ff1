// How the contract suites say what they check: a name, and a function that throws where the contract is broken. The runner is
// the author's own: node:test, tap or a loop.

/** One test. `test` of node:test fits; for tap: `(name, run) => t.resolves(run(), name)`. */
export type Check = (name: string, run: () => Promise<void>) => unknown

export interface ContractCheck {
  readonly name: string
  readonly run: () => Promise<void>
}

/** Whatever waits for a plug-in waits no longer than this. */
const DEADLINE_MS = 5_000

export const runChecks = async (checks: readonly ContractCheck[], check: Check): Promise<void> => {
  for (const { name, run } of checks) await check(name, run)
}

/** The result, or an error that says what did not happen in time. */
export const soon = async <Result>(what: string, work: Promise<Result>): Promise<Result> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${DEADLINE_MS} ms`)), DEADLINE_MS)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Like soon(), and a rejection is as good as a result. */
export const settlesSoon = async (what: string, work: Promise<unknown>): Promise<void> => {
  await soon(
    what,
    work.then(
      () => undefined,
      () => undefined,
    ),
  )
}
