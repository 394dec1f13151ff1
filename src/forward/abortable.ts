// The work's own outcome, or a rejection with the signal's reason as soon as it aborts, even if the work ignores the signal.

export const abortable = async <T>(work: Promise<T>, signal: AbortSignal): Promise<T> => {
  let onAbort: (() => void) | undefined
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason)
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    if (onAbort !== undefined) signal.removeEventListener('abort', onAbort)
  }
}
