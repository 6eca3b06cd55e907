/** What is counted while something long is done. */
export type ProgressUnit = 'rows' | 'bytes' | 'events' | 'files'

/**
 * Where long work says how far it is. One thing at a time: `start`, any number of `advance`, `finish`, which is also
 * called when the work fails. Starting something else ends what was before.
 */
export interface ProgressSink {
  /** `total`: how many there are to do, where that is known; may be an estimate. */
  start(label: string, total: number | undefined, unit: ProgressUnit): void
  /** `n` more have been done. Cheap: may be called for every row. */
  advance(n: number): void
  finish(): void
}

/** For those who do not want to know. */
export const noProgress: ProgressSink = {
  start: () => undefined,
  advance: () => undefined,
  finish: () => undefined,
}
