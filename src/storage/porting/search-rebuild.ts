import { searchableText, SEARCHABLE_TYPES } from '../../protocol/searchable-text.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../../util/json.js'
import { wordsOf } from '../../util/words.js'
import type { Tx } from '../database.js'
import { EventSearchStore, type SearchableEvent } from '../stores/event-search.js'
import { fieldsOf, type RowKey } from './row-text.js'
import type { TableShape } from './table-shape.js'

/** The full-text index that can be made anew, and the table with what it indexes. */
export const SEARCH_INDEX = 'event_search'
export const SEARCHED_TABLE = 'events'

/** Events that are looked at in one transaction. */
const BATCH = 1_000

interface EventRow {
  readonly event_nid: number
  readonly room_nid: number
  readonly type: string
  readonly json: string
}

const NOT_FOUND = ['rejected', 'redacted_by'] as const

/** Makes the full-text index of a database from its events, as the server would. */
export class SearchRebuild {
  readonly #store = new EventSearchStore()

  /** The next events behind one. Gives the last that was looked at; undefined when there are no more. */
  async fillNext(tx: Tx, after: number): Promise<number | undefined> {
    const rows = await tx.all<EventRow>(
      `SELECT event_nid, room_nid, type, json FROM events
       WHERE event_nid > ? AND ${tx.dialect.anyOf('type', 'text')} AND rejected IS NULL AND redacted_by IS NULL
         AND soft_failed = 0 AND stream_ordering IS NOT NULL
       ORDER BY event_nid LIMIT ${BATCH}`,
      [after, tx.dialect.list(SEARCHABLE_TYPES)],
    )
    await this.#store.add(tx, rows.flatMap(searchable))
    return rows.at(-1)?.event_nid
  }

  /** After rows of the events have been replaced: `removed` are gone, `inserted` are there. */
  async update(
    tx: Tx,
    table: TableShape,
    { remove, insert }: { remove: readonly RowKey[]; insert: readonly Buffer[] },
  ): Promise<void> {
    await this.#store.remove(
      tx,
      remove.map(([nid]) => Number(nid!.toString())),
    )
    await this.#store.add(
      tx,
      insert.flatMap((row) => searchableRow(row, table)),
    )
  }
}

function searchable({ event_nid: eventNid, room_nid: roomNid, type, json }: EventRow): SearchableEvent[] {
  const words = wordsOf(searchableText(type, contentOf(json)))
  return words.length === 0 ? [] : [{ eventNid, roomNid, words }]
}

/** Of an event's JSON; nothing where that is broken, which is not for porting to judge. */
function contentOf(json: string): JsonObject {
  try {
    const event = JSON.parse(json) as JsonValue
    const content = isJsonObject(event) ? event['content'] : undefined
    return content !== undefined && isJsonObject(content) ? content : {}
  } catch {
    return {}
  }
}

function searchableRow(row: Buffer, table: TableShape): SearchableEvent[] {
  const values = fieldsOf(row)
  const field = (name: string): string | undefined =>
    values[table.columns.findIndex((column) => column.name === name)]?.toString()
  const type = field('type') ?? ''
  if (!SEARCHABLE_TYPES.includes(type) || field('stream_ordering') === undefined) return []
  if (NOT_FOUND.some((name) => field(name) !== undefined) || field('soft_failed') !== '0') return []
  return searchable({
    event_nid: Number(field('event_nid')),
    room_nid: Number(field('room_nid')),
    type,
    json: field('json') ?? '{}',
  })
}
