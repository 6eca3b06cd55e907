import type { Clock } from './clock.js'

/**
 * Runs `task` with a signal that aborts after `ms`, or with `outer`: what the task still begins or waits for then is for
 * nothing.
 */
export async function withTimeLimit<T>(
  clock: Pick<Clock, 'setTimeout'>,
  ms: number,
  task: (signal: AbortSignal) => Promise<T>,
  outer?: AbortSignal,
): Promise<T> {
  const ending = new AbortController()
  const end = (): void => ending.abort()
  const timer = clock.setTimeout(end, ms)
  // `AbortSignal.any` would hold on to signals that live as long as the server.
  outer?.addEventListener('abort', end, { once: true })
  if (outer?.aborted === true) end()
  try {
    return await task(ending.signal)
  } finally {
    timer.cancel()
    outer?.removeEventListener('abort', end)
  }
}
