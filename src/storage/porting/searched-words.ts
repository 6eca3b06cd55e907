import { searchableText, SEARCHABLE_TYPES } from '../../protocol/searchable-text.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../../util/json.js'
import { wordsOf } from '../../util/words.js'
import type { SearchableEvent } from '../stores/event-search.js'
import type { RowForm } from './port-side.js'
import { jsonArrayOf } from './row-json.js'
import { textRowsOf } from './row-text.js'
import type { TableShape } from './table-shape.js'

/** The full-text index that can be made anew, and the table with what it indexes. */
export const SEARCH_INDEX = 'event_search'
export const SEARCHED_TABLE = 'events'

type Fields = readonly (string | number | null | undefined)[]

/** The words of events, whose rows are in a form: what the server would have in its full-text index. */
export function searchedWords(table: TableShape, data: Buffer, form: RowForm): SearchableEvent[] {
  const places = FIELDS.map((name) => table.columns.findIndex((column) => column.name === name))
  const events: SearchableEvent[] = []
  for (const row of rowsOf(table, data, form)) {
    const event = searchable(places.map((place) => row[place]))
    if (event !== undefined) events.push(event)
  }
  return events
}

function rowsOf(table: TableShape, data: Buffer, form: RowForm): Iterable<Fields> {
  return form === 'text'
    ? textRowsOf(data)
    : (JSON.parse(jsonArrayOf(data, form, table).toString()) as Fields[])
}

const FIELDS = [
  'event_nid',
  'room_nid',
  'type',
  'json',
  'stream_ordering',
  'soft_failed',
  'rejected',
  'redacted_by',
] as const

function searchable([eventNid, roomNid, type, json, position, softFailed, ...notFound]: Fields):
  SearchableEvent | undefined {
  const eventType = String(type)
  if (!SEARCHABLE_TYPES.includes(eventType) || (position ?? null) === null || Number(softFailed) !== 0) {
    return undefined
  }
  if (notFound.some((field) => (field ?? null) !== null)) return undefined
  const words = wordsOf(searchableText(eventType, contentOf(String(json))))
  return words.length === 0 ? undefined : { eventNid: Number(eventNid), roomNid: Number(roomNid), words }
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
