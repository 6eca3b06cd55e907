import type { SynapseSource } from './source.js'

/** A state as its server keeps it: what differs from another, or all of it. */
export interface StateGroup {
  readonly stateGroup: number
  /** Undefined where `entries` are the whole state. */
  readonly base: number | undefined
}

/** A piece of a state group, and the event that holds it. */
export interface StateGroupEntry {
  readonly type: string
  readonly stateKey: string
  readonly eventId: string
}

/** The groups and all that they build on, down to whole states. */
export async function readGroupChains(
  { states: q }: SynapseSource,
  stateGroups: readonly number[],
): Promise<StateGroup[]> {
  if (stateGroups.length === 0) return []
  const rows = await q.all<{ state_group: number; prev_state_group: number | null }>(
    `WITH RECURSIVE wanted (state_group) AS (
       SELECT s.id AS state_group FROM state_groups s WHERE ${q.dialect.anyOf('s.id', 'integer')}
       UNION
       SELECT e.prev_state_group FROM state_group_edges e JOIN wanted w ON e.state_group = w.state_group
     )
     SELECT w.state_group, e.prev_state_group
     FROM wanted w LEFT JOIN state_group_edges e ON e.state_group = w.state_group`,
    [q.dialect.list(stateGroups)],
  )
  return rows.map((row) => ({ stateGroup: row.state_group, base: row.prev_state_group ?? undefined }))
}

/** What the groups say themselves, without what they build on. Groups that say nothing are there, too. */
export async function readGroupEntries(
  { states: q }: SynapseSource,
  stateGroups: readonly number[],
): Promise<Map<number, StateGroupEntry[]>> {
  const entries = new Map<number, StateGroupEntry[]>(stateGroups.map((group) => [group, []]))
  const rows = await q.all<{ state_group: number; type: string; state_key: string; event_id: string }>(
    `SELECT state_group, type, state_key, event_id FROM state_groups_state
     WHERE ${q.dialect.anyOf('state_group', 'integer')}`,
    [q.dialect.list(stateGroups)],
  )
  for (const row of rows) {
    entries.get(row.state_group)?.push({ type: row.type, stateKey: row.state_key, eventId: row.event_id })
  }
  return entries
}
