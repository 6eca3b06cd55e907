import type { SqlValue } from './database.js'

/** A place between two events of a room: after the event of this depth and position, before the next. */
export interface TimelinePosition {
  readonly depth: number
  /** Negative among backfilled events. */
  readonly streamOrdering: number
}

/** Where reading starts or stops: a place in the graph, or a position of the events stream (no depth). */
export interface TimelineBound {
  readonly depth?: number | undefined
  readonly streamOrdering: number
}

/** `b`: from new to old; `f`: from old to new. */
export type Direction = 'b' | 'f'

/** A part of a statement with its parameters. */
export interface Sql {
  readonly sql: string
  readonly params: readonly SqlValue[]
}

export interface TimelineRange {
  readonly direction: Direction
  readonly from?: TimelineBound | undefined
  readonly to?: TimelineBound | undefined
  /** The last position of the events stream that may be read. */
  readonly ceiling: number
}

/** Events `e` of a range that may be shown to clients at all: no outliers, rejected or soft-failed ones. */
export function rangeSql({ direction, from, to, ceiling }: TimelineRange): Sql {
  const [start, stop] = direction === 'b' ? (['<=', '>'] as const) : (['>', '<='] as const)
  return joinSql(
    { sql: 'e.rejected IS NULL AND e.soft_failed = 0 AND e.stream_ordering <= ?', params: [ceiling] },
    from && boundSql(start, from),
    to && boundSql(stop, to),
  )
}

/** Topological order: by depth, and by position where that is the same. */
export function orderSql(direction: Direction): string {
  const order = direction === 'b' ? 'DESC' : 'ASC'
  return `ORDER BY e.depth ${order}, e.stream_ordering ${order}`
}

/** All of the conditions. */
export function joinSql(...parts: readonly (Sql | undefined)[]): Sql {
  const present = parts.filter((part) => part !== undefined)
  return {
    sql: present.map(({ sql }) => sql).join(' AND '),
    params: present.flatMap(({ params }) => params),
  }
}

/** The place just beyond an event, in the direction of reading: where the next page starts. */
export function beyond(
  direction: Direction,
  row: { readonly depth: number; readonly stream_ordering: number | null } | undefined,
): TimelinePosition | undefined {
  if (row === undefined || row.stream_ordering === null) return undefined
  return { depth: row.depth, streamOrdering: row.stream_ordering - (direction === 'b' ? 1 : 0) }
}

function boundSql(operator: '<=' | '>', { depth, streamOrdering }: TimelineBound): Sql {
  if (depth === undefined) return { sql: `e.stream_ordering ${operator} ?`, params: [streamOrdering] }
  return { sql: `(e.depth, e.stream_ordering) ${operator} (?, ?)`, params: [depth, streamOrdering] }
}
