import { MatrixError } from '../../protocol/errors.js'
import type { Database } from '../../storage/database.js'
import type { LastingTask, LastingTaskFilter, LastingTasksStore } from '../../storage/stores/lasting-tasks.js'
import type { Clock } from '../../util/clock.js'
import type { JsonObject } from '../../util/json.js'
import { KeyedMutex } from '../../util/keyed-mutex.js'
import { randomString } from '../../util/random.js'
import type { PeriodicTask } from './periodic-tasks.js'

/** One run of a task. */
export interface TaskRun {
  readonly params: JsonObject
  /** What an earlier run has reported, before the server was stopped. */
  readonly earlier: JsonObject | undefined
  /** Aborted when the server stops: the run ends soon, and is begun again at the next start. */
  readonly signal: AbortSignal
  /** Keeps what is known so far, for those who ask, and for the next run. */
  readonly report: (result: JsonObject) => Promise<void>
}

/**
 * Does the work, and gives what has come of it. Runs again after a stop or a crash, so that nothing it does counts
 * twice.
 */
export type TaskAction = (run: TaskRun) => Promise<JsonObject>

export interface LastingTasksDependencies {
  readonly db: Database
  readonly clock: Clock
  readonly store: LastingTasksStore
  /** Called with what a task fails with. */
  readonly onError: (error: unknown) => void
}

const ID_LENGTH = 16
const HOUR_MS = 60 * 60_000
/** How long it is remembered what has come of a task. */
const KEPT_MS = 7 * 24 * HOUR_MS

/**
 * Work that takes longer than anybody waits for an answer: it is written down before it begins, goes on after a restart,
 * and can be asked about for seven days after its end. Of each action one task runs at a time; the others wait.
 */
export class LastingTasks {
  readonly #deps: LastingTasksDependencies
  readonly #actions = new Map<string, TaskAction>()
  readonly #locks = new KeyedMutex()
  /** By ID. */
  readonly #running = new Map<string, Promise<void>>()
  readonly #stopping = new AbortController()

  constructor(deps: LastingTasksDependencies) {
    this.#deps = deps
  }

  /** Says how an action is done; before `resume`. */
  define(action: string, run: TaskAction): void {
    this.#actions.set(action, run)
  }

  /** Begins the task; gives its ID. 400 `M_UNKNOWN` while the same is being done with the resource. */
  async start(action: string, resource: string, params: JsonObject): Promise<string> {
    const { db, clock, store } = this.#deps
    const taskId = randomString(ID_LENGTH)
    const task: LastingTask = {
      taskId,
      action,
      resource,
      params,
      status: 'active',
      result: undefined,
      error: undefined,
      changedTs: clock.now(),
    }
    await db.write('start_lasting_task', async (tx) => {
      const [other] = await store.list(tx, { action, resource, statuses: ['active'] })
      if (other !== undefined) {
        const message = `${action} is being done with ${resource} already, as ${other.taskId}`
        throw new MatrixError('M_UNKNOWN', message, { status: 400 })
      }
      await store.insert(tx, task)
    })
    this.#begin(task)
    return taskId
  }

  /** A task of an action, for seven days after its end; undefined for those that are not known. */
  async get(action: string, taskId: string): Promise<LastingTask | undefined> {
    const task = await this.#deps.store.get(this.#deps.db.reader, taskId)
    return task?.action === action ? task : undefined
  }

  /** The newest first, at most 1,000. */
  list(filter: LastingTaskFilter): Promise<LastingTask[]> {
    return this.#deps.store.list(this.#deps.db.reader, filter)
  }

  /** Takes up what the last stop has left. */
  async resume(): Promise<void> {
    for (const task of (await this.list({ statuses: ['active'] })).toReversed()) this.#begin(task)
  }

  /** Resolves when a task has ended, or the server stops; gives what is known of it then. */
  async ended(action: string, taskId: string): Promise<LastingTask | undefined> {
    await this.#running.get(taskId)
    return this.get(action, taskId)
  }

  /** Resolves when nothing runs. */
  async settle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running.values())
  }

  /** Begins nothing any more; resolves when what runs has ended. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.settle()
  }

  /** What forgets old tasks. */
  readonly upkeep: PeriodicTask = {
    name: 'forget_lasting_tasks',
    intervalMs: HOUR_MS,
    run: async () => {
      const { db, clock, store } = this.#deps
      await db.write('forget_lasting_tasks', (tx) => store.deleteEnded(tx, clock.now() - KEPT_MS))
    },
  }

  #begin(task: LastingTask): void {
    const running = this.#locks
      .run(task.action, () => this.#run(task))
      .catch(this.#deps.onError)
      .finally(() => this.#running.delete(task.taskId))
    this.#running.set(task.taskId, running)
  }

  async #run(task: LastingTask): Promise<void> {
    const { signal } = this.#stopping
    const isStopping = (): boolean => signal.aborted
    if (isStopping()) return
    let known = task.result
    const report = async (result: JsonObject): Promise<void> => {
      known = result
      await this.#note(task, { status: 'active', result, error: undefined })
    }
    try {
      const action = this.#actions.get(task.action)
      if (action === undefined) throw new Error(`This server does not know how to do ${task.action}`)
      const result = await action({ params: task.params, earlier: task.result, signal, report })
      // What was cut short says so by the signal alone.
      if (!isStopping()) await this.#note(task, { status: 'complete', result, error: undefined })
    } catch (error) {
      if (isStopping()) return
      this.#deps.onError(error)
      const text = error instanceof Error ? error.message : String(error)
      await this.#note(task, { status: 'failed', result: known, error: text })
    }
  }

  async #note(
    { taskId }: LastingTask,
    outcome: Pick<LastingTask, 'status' | 'result' | 'error'>,
  ): Promise<void> {
    const { db, clock, store } = this.#deps
    await db.write('note_lasting_task', (tx) =>
      store.update(tx, { ...outcome, taskId, changedTs: clock.now() }),
    )
  }
}
