import { DatabaseHealthStore } from '../../storage/stores/database-health.js'
import type { DoctorCheck } from './doctor-check.js'
import { info, ok, warning, type Finding } from './finding.js'

/** With more, the state of a room is computed anew for many of its events. */
const MANY_EXTREMITIES = 20
const MAX_ROOMS = 10
/** Fewer take no room worth speaking of. */
const MANY_SNAPSHOTS = 100_000
/** Of states for each event: it does not change nearly that often. */
const DENSE = 0.5

/** Rooms that have come apart, and state that grows. */
export const checkRooms: DoctorCheck = {
  name: 'rooms',
  summary: 'forward extremities, and how the state of rooms grows',
  usesNetwork: false,
  async run({ database }) {
    const db = await database()
    if (db === undefined) return [info('there are no rooms yet')]
    const store = new DatabaseHealthStore()
    const crowded = await store.listCrowdedRooms(db.reader, { threshold: MANY_EXTREMITIES, limit: MAX_ROOMS })
    const findings: Finding[] = crowded.map(({ roomId, extremities }) =>
      warning(`${roomId} has ${extremities} forward extremities`, {
        consequence: 'each event in the room costs much time, and its state may fall apart',
        cure: `mxhs rooms repair '${roomId}'; what is left, the next message that somebody here sends joins`,
        details: { roomId, extremities },
      }),
    )
    const growth = assessGrowth(await store.countGrowth(db.reader))
    return growth.level === 'ok' && findings.length > 0 ? findings : [...findings, growth]
  },
}

/** What the number of snapshots of state comes to. */
export function assessGrowth(counts: { readonly events: number; readonly snapshots: number }): Finding {
  const { events, snapshots } = counts
  const details = { events, snapshots }
  if (snapshots <= MANY_SNAPSHOTS || snapshots <= events * DENSE)
    return ok(`${events} events, ${snapshots} states of rooms`, details)
  return warning(`there are ${snapshots} states of rooms for ${events} events`, {
    consequence: 'they take room that nothing refers to any more',
    cure: 'mxhs db compact',
    details,
  })
}
