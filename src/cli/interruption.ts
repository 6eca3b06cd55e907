import { CommandFailure } from './failures.js'

/**
 * Does something that cleans up behind itself when it is interrupted: SIGINT and SIGTERM abort the signal that it is
 * given; a second one ends the process at once.
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const interrupted = new AbortController()
  const handler = (signal: NodeJS.Signals): void => {
    stopListening()
    interrupted.abort(new CommandFailure(`Interrupted (${signal})`))
  }
  const stopListening = (): void => {
    process.off('SIGINT', handler)
    process.off('SIGTERM', handler)
  }
  process.on('SIGINT', handler)
  process.on('SIGTERM', handler)
  try {
    return await work(interrupted.signal)
  } finally {
    stopListening()
  }
}
