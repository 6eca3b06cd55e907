import type { Query } from '../database.js'
import type { EventId, RoomId } from '../../protocol/ids.js'
import { restoreEvent } from '../../protocol/event-format.js'
import { pduText } from '../../protocol/pdu.js'
import { redactEvent } from '../../protocol/redaction.js'
import type { RoomVersionRules } from '../../protocol/room-versions.js'

interface Row {
  event_nid: number
  event_id: string
  redacted_by: string | null
  json: string
}

/** Where events are read that go to other servers as they are: no object is made of most of them. */
export class EventTextsStore {
  /** The events of one room as JSON text, as servers exchange them, by nid; redacted where they have been. */
  async list(
    q: Query,
    { rules, roomId }: { readonly rules: RoomVersionRules; readonly roomId: RoomId },
    eventNids: readonly number[],
  ): Promise<Map<number, string>> {
    if (eventNids.length === 0) return new Map()
    const rows = await q.all<Row>(
      `SELECT event_nid, event_id, redacted_by, json FROM events WHERE ${q.dialect.anyOf('event_nid', 'integer')}`,
      [q.dialect.list(eventNids)],
    )
    return new Map(
      rows.map((row) => {
        if (row.redacted_by === null && !row.json.includes('"unsigned":')) return [row.event_nid, row.json]
        const event = restoreEvent(rules, row.json, { eventId: row.event_id as EventId, roomId })
        return [row.event_nid, pduText(row.redacted_by === null ? event : redactEvent(event))]
      }),
    )
  }
}
