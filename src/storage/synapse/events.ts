import { isTrue } from './rows.js'
import type { SynapseSource } from './source.js'

/** An event with what its server knows of it. */
export interface SourceEvent {
  readonly eventId: string
  /** Negative for events that were fetched as history. */
  readonly streamOrdering: number
  readonly isOutlier: boolean
  readonly receivedTs: number | undefined
  /** Why it was rejected. */
  readonly rejected: string | undefined
  readonly isSoftFailed: boolean
  /** The state group after it; before it, where it is rejected. Undefined for outliers. */
  readonly stateGroup: number | undefined
  readonly json: string
}

/** What others say of an event that they refer to. */
export interface EventReference {
  readonly streamOrdering: number
  readonly isOutlier: boolean
  readonly stateGroup: number | undefined
}

interface Row {
  event_id: string
  stream_ordering: number
  outlier: number
  received_ts: number | null
  reason: string | null
  internal_metadata: string
  state_group: number | null
  json: string
}

const SELECT = `SELECT e.event_id, e.stream_ordering, e.outlier, e.received_ts, r.reason, j.internal_metadata,
    g.state_group, j.json
  FROM events e JOIN event_json j ON j.event_id = e.event_id
  LEFT JOIN event_to_state_groups g ON g.event_id = e.event_id
  LEFT JOIN rejections r ON r.event_id = e.event_id`

/** Some events of a room after a position, in the order of the stream. */
export async function readNewerEvents(
  { q }: SynapseSource,
  { roomId, after }: { roomId: string; after: number },
  limit: number,
): Promise<SourceEvent[]> {
  const rows = await q.all<Row>(
    `${SELECT} WHERE e.room_id = ? AND e.stream_ordering > ? ORDER BY e.stream_ordering LIMIT ?`,
    [roomId, after, limit],
  )
  return rows.map(toSourceEvent)
}

/** Some events of a room before a position, against the order of the stream. */
export async function readOlderEvents(
  { q }: SynapseSource,
  { roomId, before }: { roomId: string; before: number },
  limit: number,
): Promise<SourceEvent[]> {
  const rows = await q.all<Row>(
    `${SELECT} WHERE e.room_id = ? AND e.stream_ordering < ? ORDER BY e.stream_ordering DESC LIMIT ?`,
    [roomId, before, limit],
  )
  return rows.map(toSourceEvent)
}

/** Those of the events that have a place in their room's history. */
export async function readEventsNow(
  { q }: SynapseSource,
  eventIds: readonly string[],
): Promise<SourceEvent[]> {
  if (eventIds.length === 0) return []
  const rows = await q.all<Row>(
    `${SELECT} WHERE ${q.dialect.anyOf('e.event_id', 'text')} AND NOT e.outlier ORDER BY e.stream_ordering`,
    [q.dialect.list(eventIds)],
  )
  return rows.map(toSourceEvent)
}

/** Where events are that others refer to; those that are not held are left out. */
export async function readReferences(
  { q }: SynapseSource,
  eventIds: readonly string[],
): Promise<Map<string, EventReference>> {
  if (eventIds.length === 0) return new Map()
  const rows = await q.all<{
    event_id: string
    stream_ordering: number
    outlier: number
    state_group: number | null
  }>(
    `SELECT e.event_id, e.stream_ordering, e.outlier, g.state_group
     FROM events e LEFT JOIN event_to_state_groups g ON g.event_id = e.event_id
     WHERE ${q.dialect.anyOf('e.event_id', 'text')}`,
    [q.dialect.list(eventIds)],
  )
  return new Map(
    rows.map((row) => [
      row.event_id,
      {
        streamOrdering: row.stream_ordering,
        isOutlier: isTrue(row.outlier),
        stateGroup: row.state_group ?? undefined,
      },
    ]),
  )
}

function toSourceEvent(row: Row): SourceEvent {
  return {
    eventId: row.event_id,
    streamOrdering: row.stream_ordering,
    isOutlier: isTrue(row.outlier),
    receivedTs: row.received_ts ?? undefined,
    rejected: row.reason ?? undefined,
    isSoftFailed: row.internal_metadata.includes('"soft_failed":true') || softFailed(row.internal_metadata),
    stateGroup: row.state_group ?? undefined,
    json: row.json,
  }
}

/** As Python writes JSON by itself, with a space. */
function softFailed(metadata: string): boolean {
  return metadata.includes('"soft_failed": true')
}
