import { createDeferred } from './deferred.js'

/**
 * What `work` gives; rejects with what `failure` makes as soon as `signal` aborts. What is still worked on then is
 * let go.
 */
export async function unlessAborted<T>(
  signal: AbortSignal | undefined,
  failure: () => Error,
  work: Promise<T>,
): Promise<T> {
  if (signal === undefined) return work
  const aborted = createDeferred<never>()
  const onAbort = (): void => aborted.reject(failure())
  // Whoever waits for neither any more does not want to hear of it.
  aborted.promise.catch(() => undefined)
  work.catch(() => undefined)
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  try {
    return await Promise.race([work, aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
