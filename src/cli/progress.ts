import { SingleBar } from 'cli-progress'
import { systemClock, type Clock } from '../util/clock.js'
import type { ProgressSink, ProgressUnit } from '../util/progress-sink.js'
import { formatBytes } from './format-bytes.js'
import { formatDuration } from './format-duration.js'

/** How often there is a line where nothing can be drawn over. */
const LINE_INTERVAL_MS = 5_000
/** The rate is that of the last so many milliseconds, sampled this often. */
const RATE_WINDOW_MS = 20_000
const SAMPLE_INTERVAL_MS = 500

const BAR_OPTIONS = {
  barCompleteChar: '=',
  barIncompleteChar: ' ',
  barsize: 24,
  fps: 5,
  // Leaves signals and the cursor to whoever they belong to, and cuts lines that are too long (which `true` means).
  gracefulExit: false,
  hideCursor: null,
  linewrap: true,
} as const

export interface ProgressOptions {
  /** Standard error by default: results go elsewhere. */
  readonly stream?: NodeJS.WriteStream
  readonly clock?: Clock
  /** False: says nothing at all. */
  readonly enabled?: boolean
}

/** What is being done. */
interface Task {
  readonly label: string
  readonly total: number | undefined
  readonly unit: ProgressUnit
  readonly startedAt: number
  readonly bar: SingleBar | undefined
  readonly samples: { readonly at: number; readonly done: number }[]
  done: number
  lineAt: number
}

/**
 * Shows how far long work is: on a terminal a bar with rate and remaining time, elsewhere a plain line every few seconds
 * and one at the end. `finish` must be called when the work fails, too: a bar keeps the process alive.
 */
export class Progress implements ProgressSink {
  readonly #stream: NodeJS.WriteStream
  readonly #clock: Clock
  readonly #enabled: boolean
  #task: Task | undefined

  constructor(options: ProgressOptions = {}) {
    this.#stream = options.stream ?? process.stderr
    this.#clock = options.clock ?? systemClock
    this.#enabled = options.enabled ?? true
  }

  start(label: string, total: number | undefined, unit: ProgressUnit): void {
    this.finish()
    if (!this.#enabled) return
    const now = this.#clock.now()
    const bar = this.#stream.isTTY
      ? new SingleBar({
          ...BAR_OPTIONS,
          stream: this.#stream,
          format: total === undefined ? '{label}  {status}' : '{label}  [{bar}] {percentage}%  {status}',
        })
      : undefined
    const task: Task = { label, total, unit, startedAt: now, bar, samples: [], done: 0, lineAt: now }
    this.#task = task
    bar?.start(total ?? 0, 0, { label, status: this.#status(task) })
  }

  advance(n: number): void {
    const task = this.#task
    if (task === undefined) return
    task.done += n
    const now = this.#clock.now()
    const newest = task.samples.at(-1)
    if (newest !== undefined && now - newest.at < SAMPLE_INTERVAL_MS) return
    task.samples.push({ at: now, done: task.done })
    while (task.samples.length > 2 && task.samples[1]!.at < now - RATE_WINDOW_MS) task.samples.shift()
    if (task.bar) {
      task.bar.update(barValue(task), { status: this.#status(task) })
    } else if (now - task.lineAt >= LINE_INTERVAL_MS) {
      task.lineAt = now
      this.#stream.write(`${task.label}: ${this.#status(task)}\n`)
    }
  }

  finish(): void {
    const task = this.#task
    if (task === undefined) return
    this.#task = undefined
    const summary = this.#summary(task)
    if (task.bar === undefined) {
      this.#stream.write(`${task.label}: ${summary}\n`)
      return
    }
    task.bar.update(barValue(task), { status: summary })
    task.bar.stop()
  }

  /** `1,200 of 5,000 rows, 300 rows/s, 13 s left` */
  #status(task: Task): string {
    const { done, total, unit } = task
    const count =
      total === undefined || done > total
        ? formatCount(done, unit)
        : `${formatAmount(done, unit)} of ${formatCount(total, unit)}`
    const rate = this.#rate(task)
    if (rate === undefined) return count
    const left =
      total === undefined || done >= total ? '' : `, ${formatDuration(((total - done) / rate) * 1000)} left`
    return `${count}, ${formatCount(Math.round(rate), unit)}/s${left}`
  }

  /** `5,000 rows in 17 s, 294 rows/s` */
  #summary({ done, unit, startedAt }: Task): string {
    const tookMs = this.#clock.now() - startedAt
    const rate = tookMs > 0 && done > 0 ? `, ${formatCount(Math.round((done / tookMs) * 1000), unit)}/s` : ''
    return `${formatCount(done, unit)} in ${formatDuration(tookMs)}${rate}`
  }

  /** Of late, a second; undefined while nobody can know. */
  #rate({ samples, startedAt, done }: Task): number | undefined {
    const now = this.#clock.now()
    const oldest = samples.length > 1 ? samples[0]! : { at: startedAt, done: 0 }
    const rate = ((done - oldest.done) / (now - oldest.at)) * 1000
    return Number.isFinite(rate) && rate > 0 ? rate : undefined
  }
}

/** A bar is never fuller than full, although totals may be estimates. */
function barValue({ done, total }: Task): number {
  return Math.min(done, total ?? 0)
}

function formatCount(n: number, unit: ProgressUnit): string {
  return unit === 'bytes' ? formatBytes(n) : `${formatAmount(n, unit)} ${unit}`
}

function formatAmount(n: number, unit: ProgressUnit): string {
  return unit === 'bytes' ? formatBytes(n) : n.toLocaleString('en-US')
}
