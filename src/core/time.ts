// Waiting and retrying. Deadlines run on timers (monotonic); nothing here reads the wall clock.

export interface Backoff {
  /** Upper bound of the first delay. */
  readonly baseMs: number
  /** Upper bound of every delay. */
  readonly capMs: number
}

/** Full jitter: a uniformly random delay up to the exponentially growing, capped bound. `attempt` starts at 0. */
export const retryDelayMs = (attempt: number, backoff: Backoff, random: () => number = Math.random): number =>
  random() * Math.min(backoff.capMs, backoff.baseMs * 2 ** Math.min(attempt, 30))

/** Resolves after `ms`; rejects with the signal's reason as soon as it aborts. Leaves no timer and no listener behind. */
export const delay = (ms: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason)
      return
    }
    const onAbort = () => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    }, ms)
    signal?.addEventListener('abort', onAbort, { once: true })
  })

/** The promise's own outcome, or a rejection with `onTimeout()` after `ms`. The work itself goes on: stop it by its own signal. */
export const withDeadline = async <T>(promise: Promise<T>, ms: number, onTimeout: () => Error): Promise<T> => {
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(onTimeout()), ms)
  })
  try {
    return await Promise.race([promise, deadline])
  } finally {
    clearTimeout(timer)
  }
}
