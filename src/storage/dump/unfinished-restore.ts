import type { Database, Query, Tx } from '../database.js'
import { hasTable } from '../has-table.js'

/** A database holds a part of what was to be restored into it: the restore was killed. */
export class UnfinishedRestoreError extends Error {
  override readonly name = 'UnfinishedRestoreError'
}

const MARK = 'restore_unfinished'

/** True from the first thing that a restore writes to the last. */
export function isUnfinishedRestore(q: Query): Promise<boolean> {
  return hasTable(q, MARK)
}

export async function beginRestore(tx: Tx): Promise<void> {
  await tx.execute(`CREATE TABLE ${MARK} (one INTEGER PRIMARY KEY)`)
}

export async function endRestore(tx: Tx): Promise<void> {
  await tx.execute(`DROP TABLE ${MARK}`)
}

/** For a server that is about to use a database: throws an `UnfinishedRestoreError` for one that holds a part. */
export async function refuseUnfinishedRestore({ reader }: Database): Promise<void> {
  if (!(await isUnfinishedRestore(reader))) return
  throw new UnfinishedRestoreError(
    'The database holds a part of a backup whose restore was interrupted: run the same mxhs restore once more',
  )
}
