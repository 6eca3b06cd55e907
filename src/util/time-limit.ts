import type { Clock } from './clock.js'

/** Runs `task` with a signal that aborts after `ms`: what the task still begins or waits for then is for nothing. */
export async function withTimeLimit<T>(
  clock: Pick<Clock, 'setTimeout'>,
  ms: number,
  task: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const ending = new AbortController()
  const timer = clock.setTimeout(() => {
    ending.abort()
  }, ms)
  try {
    return await task(ending.signal)
  } finally {
    timer.cancel()
  }
}
