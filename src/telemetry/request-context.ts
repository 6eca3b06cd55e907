import { AsyncLocalStorage } from 'node:async_hooks'

/** What is known about the piece of work that is running: it goes into every line that is logged meanwhile. */
export interface RequestContext {
  /** Names one request or one background task, as in `GET-17`. */
  readonly requestId: string
  /** Who asks, once known. */
  requester?: string
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
