import type { Query, SqlValue, Tx } from '../database.js'
import type { JsonObject } from '../../util/json.js'

export type LastingTaskStatus = 'active' | 'complete' | 'failed'

/** Work that somebody has asked for, and what has come of it. */
export interface LastingTask {
  readonly taskId: string
  readonly action: string
  /** What it is about: a room, a user. */
  readonly resource: string
  readonly status: LastingTaskStatus
  readonly params: JsonObject
  readonly result: JsonObject | undefined
  readonly error: string | undefined
  readonly changedTs: number
}

/** What a list is narrowed to. */
export interface LastingTaskFilter {
  readonly action?: string | undefined
  readonly resource?: string | undefined
  readonly statuses?: readonly LastingTaskStatus[] | undefined
  /** Only what has changed at this time or before. */
  readonly upToTs?: number | undefined
}

interface Row {
  task_id: string
  action: string
  resource: string
  status: LastingTaskStatus
  params: string
  result: string | null
  error: string | null
  changed_ts: number
}

/** Lists are no longer than this. */
const MAX_LISTED = 1_000

/** Work that outlasts requests and restarts. */
export class LastingTasksStore {
  async insert(tx: Tx, task: LastingTask): Promise<void> {
    await tx.execute(
      `INSERT INTO lasting_tasks (task_id, action, resource, status, params, result, error, changed_ts)
       VALUES (?, ?, ?, ?, ?, NULL, NULL, ?)`,
      [task.taskId, task.action, task.resource, task.status, JSON.stringify(task.params), task.changedTs],
    )
  }

  async get(q: Query, taskId: string): Promise<LastingTask | undefined> {
    const row = await q.first<Row>('SELECT * FROM lasting_tasks WHERE task_id = ?', [taskId])
    return row && toTask(row)
  }

  /** The newest first, at most 1,000. */
  async list(q: Query, filter: LastingTaskFilter): Promise<LastingTask[]> {
    const conditions: string[] = ['1 = 1']
    const params: SqlValue[] = []
    const add = (condition: string, value: SqlValue | undefined): void => {
      if (value === undefined) return
      conditions.push(condition)
      params.push(value)
    }
    add('action = ?', filter.action)
    add('resource = ?', filter.resource)
    add(q.dialect.anyOf('status', 'text'), filter.statuses && q.dialect.list(filter.statuses))
    add('changed_ts <= ?', filter.upToTs)
    const rows = await q.all<Row>(
      `SELECT * FROM lasting_tasks WHERE ${conditions.join(' AND ')}
       ORDER BY changed_ts DESC, task_id LIMIT ${MAX_LISTED}`,
      params,
    )
    return rows.map(toTask)
  }

  async update(
    tx: Tx,
    task: Pick<LastingTask, 'taskId' | 'status' | 'result' | 'error' | 'changedTs'>,
  ): Promise<void> {
    await tx.execute(
      'UPDATE lasting_tasks SET status = ?, result = ?, error = ?, changed_ts = ? WHERE task_id = ?',
      [
        task.status,
        task.result === undefined ? null : JSON.stringify(task.result),
        task.error ?? null,
        task.changedTs,
        task.taskId,
      ],
    )
  }

  /** Forgets what has ended before a time. */
  async deleteEnded(tx: Tx, beforeTs: number): Promise<void> {
    await tx.execute("DELETE FROM lasting_tasks WHERE status <> 'active' AND changed_ts < ?", [beforeTs])
  }
}

function toTask(row: Row): LastingTask {
  return {
    taskId: row.task_id,
    action: row.action,
    resource: row.resource,
    status: row.status,
    params: JSON.parse(row.params) as JsonObject,
    result: row.result === null ? undefined : (JSON.parse(row.result) as JsonObject),
    error: row.error ?? undefined,
    changedTs: row.changed_ts,
  }
}
