import type { Database } from '../database.js'
import { findPortState } from './port-book.js'

/** A database that is being filled by porting and does not hold everything yet. */
export class UnfinishedPortError extends Error {
  override readonly name = 'UnfinishedPortError'
}

/**
 * For a server that is about to use a database: throws an `UnfinishedPortError` for one that has been filled in part.
 * One that is complete is the server's from here on, and no porting may write to it any more.
 */
export async function takeOverPorted(db: Database): Promise<void> {
  const { reader, dialect } = db
  const state = await findPortState({ engine: dialect.name, all: (sql) => reader.all(sql) })
  if (state === undefined) return
  if (!state.complete) {
    throw new UnfinishedPortError(
      `The database is being filled from ${state.source} and is not complete: run mxhs port-db once more, with no ` +
        'server running',
    )
  }
  await db.write('take_over_ported', async (tx) => {
    for (const table of ['port_indexes', 'port_progress', 'port_state'])
      await tx.execute(`DROP TABLE ${table}`)
  })
}
