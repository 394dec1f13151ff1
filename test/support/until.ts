// Waiting for a condition, with a deadline; there are no fixed sleeps in tests.

import { setTimeout as sleep } from 'node:timers/promises'

/** Resolves with the first result that is neither undefined nor false; rejects with what was awaited after `deadlineMs`. */
export const until = async <T>(
  what: string,
  condition: () => T | undefined | false | Promise<T | undefined | false>,
  deadlineMs = 10_000,
): Promise<T> => {
  const deadline = performance.now() + deadlineMs
  for (;;) {
    const result = await condition()
    if (result !== undefined && result !== false) return result
    if (performance.now() > deadline) throw new Error(`did not happen within ${deadlineMs} ms: ${what}`)
    await sleep(5)
  }
}
