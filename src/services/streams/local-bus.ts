import type { StreamName } from '../../storage/streams/stream-names.js'
import type { PositionHints, PositionSink } from './notifier.js'

/** Tells everybody in this process who asked that streams have moved, in the order in which they asked. */
export class LocalBus implements PositionSink {
  readonly #sinks = new Set<PositionSink>()
  readonly #onError: (error: unknown) => void

  /** `onError` gets what subscribers throw: the writer who reports a position has committed and must not fail. */
  constructor(onError: (error: unknown) => void) {
    this.#onError = onError
  }

  /** Returns a function that ends it. */
  subscribe(sink: PositionSink): () => void {
    this.#sinks.add(sink)
    return () => {
      this.#sinks.delete(sink)
    }
  }

  onNewPosition(stream: StreamName, hints: PositionHints): void {
    for (const sink of this.#sinks) {
      try {
        sink.onNewPosition(stream, hints)
      } catch (error) {
        this.#onError(error)
      }
    }
  }
}
