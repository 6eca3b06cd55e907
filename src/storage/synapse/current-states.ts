import { stateKeyOf } from '../../protocol/state-map.js'
import type { SynapseSource } from './source.js'

/** The current states of rooms: event IDs by (type, state key). Rooms without one are left out. */
export async function readCurrentStates(
  { q }: SynapseSource,
  roomIds: readonly string[],
): Promise<Map<string, Map<string, string>>> {
  const rows = await q.all<{ room_id: string; type: string; state_key: string; event_id: string }>(
    `SELECT room_id, type, state_key, event_id FROM current_state_events
     WHERE ${q.dialect.anyOf('room_id', 'text')}`,
    [q.dialect.list(roomIds)],
  )
  const states = new Map<string, Map<string, string>>()
  for (const row of rows) {
    let state = states.get(row.room_id)
    if (!state) states.set(row.room_id, (state = new Map<string, string>()))
    state.set(stateKeyOf(row.type, row.state_key), row.event_id)
  }
  return states
}
