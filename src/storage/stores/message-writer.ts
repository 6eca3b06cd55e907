import { relationshipOf } from '../../protocol/event-relationships.js'
import { stickyUntil } from '../../protocol/sticky-events.js'
import type { SqlValue, Tx } from '../database.js'
import type { Dialect, StatementGroup } from '../dialect.js'
import { EDGES, EVENTS, HIGHLIGHTS, PUSH_EXCEPTIONS, TXNS, type EventTable } from './event-rows.js'
import type { PlacedEventWrite } from './event-writer.js'
import { extremityMoves, moveExtremitiesSql } from './extremity-moves.js'

/** The tables that a message adds rows to. */
const TABLES: readonly EventTable[] = [EVENTS, EDGES, TXNS, HIGHLIGHTS, PUSH_EXCEPTIONS]

/**
 * Writes what is nearly everything that people send: events without anything about state, redactions or gaps, which
 * move the one end of their room on. A whole batch of those is one statement.
 */
export class MessageWriter {
  #group: StatementGroup | undefined

  /** Writes the batch and commits it, if all of it are such messages; otherwise does nothing and says false. */
  async writeLast(tx: Tx, writes: readonly PlacedEventWrite[]): Promise<boolean> {
    if (!writes.every(isPlain)) return false
    const { moved, removed, added } = extremityMoves(writes)
    if (removed.length + added.length > 0) return false
    const { dialect } = tx
    this.#group ??= createGroup(dialect)
    const params: SqlValue[] = TABLES.flatMap((table) =>
      dialect.insertParams(table.rows(writes), table.options),
    )
    await tx.executeLast(this.#group, [...params, dialect.rows(moved)])
    return true
  }
}

function createGroup(dialect: Dialect): StatementGroup {
  const inserts = TABLES.map(({ table, options }) => dialect.insertSql(table, options))
  return dialect.group('write_messages', [...inserts, moveExtremitiesSql(dialect)])
}

function isPlain(write: PlacedEventWrite): boolean {
  return (
    write.kind === 'live' &&
    write.wasOutlier !== true &&
    write.snapshots.length === 0 &&
    write.authPosition === undefined &&
    write.stateChanges.length === 0 &&
    write.redaction === undefined &&
    write.redactedBy === undefined &&
    (write.missingPrevs ?? []).length === 0 &&
    write.closesGap !== true &&
    stickyUntil(write.event, write.receivedTs) === undefined &&
    relationshipOf(write.event) === undefined
  )
}
