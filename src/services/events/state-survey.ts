import type { Database } from '../../storage/database.js'
import { decodeChanges, StateSnapshot, type StateChanges } from '../../storage/state-snapshot.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type {
  SnapshotRecord,
  SnapshotUse,
  StatelessEvent,
  StateSurveyStore,
} from '../../storage/stores/state-survey.js'
import { nextTurn } from '../../util/clock.js'
import { groupBy } from '../../util/group-by.js'

/**
 * What is wrong with a state: it is not there; it, or one that it builds on, cannot be read; it is not what its name
 * says; it refers to events that are not held.
 */
export type SnapshotFault = 'missing' | 'unreadable' | 'damaged' | 'hollow'

/** The states of a room that cannot be used. */
export interface StateSurveyResult {
  /** By snapshot; those that events refer to. */
  readonly faults: ReadonlyMap<number, SnapshotFault>
  readonly uses: ReadonlyMap<number, SnapshotUse>
  /** Snapshots of the room whose rows are of no use, whether or not events refer to them. */
  readonly unsound: ReadonlyMap<number, SnapshotFault>
  /** The events that lack a state and say something of it, the shallowest first. */
  readonly events: readonly StatelessEvent[]
}

interface Parts {
  readonly survey: StateSurveyStore
}

/** Snapshots that are looked at between two turns of others. */
const PER_TURN = 200

/** Reads every state of a room and finds those that cannot be used. */
export class StateSurvey {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /** Takes as long as the room has events and states; one state is in memory at a time, and those that it builds on. */
  async of({ roomNid }: RoomRecord): Promise<StateSurveyResult> {
    const { survey } = this.#parts
    const q = this.#db.reader
    const records = await survey.listSnapshots(q, roomNid)
    const unsound = await this.#judge(roomNid, records)
    const known = new Set(records.map(({ snapshotNid }) => snapshotNid))
    const faults = new Map<number, SnapshotFault>()
    for (const nid of await survey.listReferenced(q, roomNid)) {
      const fault = known.has(nid) ? unsound.get(nid) : 'missing'
      if (fault !== undefined) faults.set(nid, fault)
    }
    const nids = [...faults.keys()]
    return {
      faults,
      unsound,
      uses: nids.length === 0 ? new Map() : await survey.listUses(q, roomNid, nids),
      events: await survey.listStateless(q, roomNid, nids),
    }
  }

  async #judge(roomNid: number, records: readonly SnapshotRecord[]): Promise<Map<number, SnapshotFault>> {
    const deltas = new Map(records.map((record) => [record.snapshotNid, readDelta(record)]))
    const held = new Set<number>()
    for (const delta of deltas.values()) {
      for (const eventNid of delta?.values() ?? []) if (eventNid !== undefined) held.add(eventNid)
    }
    const absent = await this.#parts.survey.listAbsent(this.#db.reader, roomNid, [...held])
    // Whatever is not reached from a whole snapshot cannot be read.
    const unsound = new Map<number, SnapshotFault>(
      records.map(({ snapshotNid }) => [snapshotNid, 'unreadable']),
    )
    const builtOn = groupBy(records, ({ baseNid }) => baseNid ?? WHOLE)
    const open = (builtOn.get(WHOLE) ?? []).map((record) => ({ record, base: StateSnapshot.empty }))
    let looked = 0
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      const { record, base } = next
      const delta = deltas.get(record.snapshotNid)
      if (delta === undefined) continue
      const state = base.with(delta)
      const fault = faultOf(state, record, absent)
      if (fault === undefined) unsound.delete(record.snapshotNid)
      else unsound.set(record.snapshotNid, fault)
      for (const child of builtOn.get(record.snapshotNid) ?? []) open.push({ record: child, base: state })
      if (++looked % PER_TURN === 0) await nextTurn()
    }
    return unsound
  }
}

/** What is wrong with a state that can be read. `absent`: events that are not held. */
function faultOf(
  state: StateSnapshot,
  { hash }: SnapshotRecord,
  absent: ReadonlySet<number>,
): SnapshotFault | undefined {
  if (state.hashText !== hash) return 'damaged'
  return absent.size > 0 && state.events.some((nid) => absent.has(nid)) ? 'hollow' : undefined
}

/** In the place of a base: there is none. */
const WHOLE = 0

function readDelta({ delta }: SnapshotRecord): StateChanges | undefined {
  try {
    return decodeChanges(delta)
  } catch {
    return undefined
  }
}
