import type { Logger } from '../../telemetry/logger.js'
import { namesWorkInLogs, withRequestContext } from '../../telemetry/request-context.js'
import type { Clock, Timer } from '../../util/clock.js'

export interface PeriodicTask {
  readonly name: string
  readonly intervalMs: number
  /** Must end soon after the signal aborts. */
  run(signal: AbortSignal): Promise<void>
}

export interface PeriodicTasksDependencies {
  readonly clock: Clock
  readonly logger: Logger
  /** From 0 to 1: so that the tasks of servers started together do not all come at once. */
  readonly jitter: () => number
}

/**
 * Runs chores again and again. A task that takes longer than its interval is not started a second time meanwhile; one
 * that fails is logged and tried again after its interval.
 */
export class PeriodicTasks {
  readonly #deps: PeriodicTasksDependencies
  readonly #stopping = new AbortController()
  readonly #timers = new Map<string, Timer>()
  readonly #running = new Set<Promise<void>>()
  #runs = 0

  constructor(deps: PeriodicTasksDependencies) {
    this.#deps = deps
  }

  /** Starts a task: its first run comes within one interval, its names are unique. */
  every(task: PeriodicTask): void {
    if (this.#timers.has(task.name)) throw new Error(`Two tasks are called ${task.name}`)
    this.#schedule(task, Math.floor(task.intervalMs * this.#deps.jitter()))
  }

  /** Ends all tasks; resolves when none runs any more. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    for (const timer of this.#timers.values()) timer.cancel()
    await Promise.all(this.#running)
  }

  #schedule(task: PeriodicTask, delayMs: number): void {
    const timer = this.#deps.clock.setTimeout(() => {
      const run = this.#run(task)
      this.#running.add(run)
      void run.then(() => {
        this.#running.delete(run)
        if (!this.#stopping.signal.aborted) this.#schedule(task, task.intervalMs)
      })
    }, delayMs)
    this.#timers.set(task.name, timer)
  }

  async #run(task: PeriodicTask): Promise<void> {
    try {
      const run = (): Promise<void> => task.run(this.#stopping.signal)
      const requestId = `${task.name}-${++this.#runs}`
      await (namesWorkInLogs(this.#deps.logger.level) ? withRequestContext({ requestId }, run) : run())
    } catch (err) {
      this.#deps.logger.error({ err, task: task.name }, 'A periodic task failed')
    }
  }
}
