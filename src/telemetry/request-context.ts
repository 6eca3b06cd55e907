import { AsyncLocalStorage } from 'node:async_hooks'

/** What is known about the piece of work that is running: it goes into every line that is logged meanwhile. */
export interface RequestContext {
  /** Names one request or one background task, as in `GET-17`. */
  readonly requestId: string
  /** Who asks, once known. */
  requester?: string
}

/** Levels at which somebody wants to know of every line which piece of work it belongs to. */
const DETAILED_LEVELS: ReadonlySet<string> = new Set(['debug', 'trace'])

/**
 * Whether work is to run within contexts at a level of the log: from the first on they cost every promise of the
 * process some time, on Node 20 a fifteenth of what a message takes in all. The lines that tell of a request or a
 * task as a whole name it anyway.
 */
export function namesWorkInLogs(level: string): boolean {
  return DETAILED_LEVELS.has(level)
}

const storage = new AsyncLocalStorage<RequestContext>()

/** Runs `fn` and everything it starts within a context. */
export function withRequestContext<T>(context: RequestContext, fn: () => T): T {
  return storage.run(context, fn)
}

/** The context of the running work; undefined outside any. */
export function requestContext(): RequestContext | undefined {
  return storage.getStore()
}
