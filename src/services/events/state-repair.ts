import type { Database } from '../../storage/database.js'
import type { EventStatesStore } from '../../storage/stores/event-states.js'
import type { EventsStore } from '../../storage/stores/events.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { StateSnapshotsStore } from '../../storage/stores/state-snapshots.js'
import type { StatelessEvent, StateSurveyStore } from '../../storage/stores/state-survey.js'
import type { EventId } from '../../protocol/ids.js'
import type { KeyedMutex } from '../../util/keyed-mutex.js'
import type { PendingEvents } from './pending-events.js'
import type { RoomHeads } from './room-heads.js'
import type { RoomWitnesses } from './room-witnesses.js'
import type { Recovery, StateOrigin, StateRecovery } from './state-recovery.js'
import type { SnapshotFault, StateSurvey, StateSurveyResult } from './state-survey.js'

/** A state that cannot be used. */
export interface MissingState {
  readonly kind: 'missingState'
  /** `unlinked`: the event names no state. */
  readonly fault: SnapshotFault | 'unlinked'
  /** The first event that refers to it. */
  readonly eventId: EventId
  /** How many do. */
  readonly events: number
  /** How it is found out; undefined where it is lost. */
  readonly from: StateOrigin | undefined
}

export interface StateRepairReport {
  readonly findings: readonly MissingState[]
  /** Whether something was written. */
  readonly isRepaired: boolean
  /** The states, by snapshot, that stay lost. */
  readonly lost: ReadonlySet<number>
  /** What has been found out and is not written: of a dry run. To be closed. */
  readonly recovery: Recovery | undefined
}

export interface StateRepairOptions {
  readonly dryRun: boolean
  /** Whom else to ask; undefined where nobody can be asked. */
  readonly witnesses: RoomWitnesses | undefined
  /** Positions in the auth chains that are not written, since it is a dry run. */
  readonly pending: PendingEvents
}

interface Parts {
  readonly stateSurvey: StateSurvey
  readonly stateRecovery: StateRecovery
  readonly survey: StateSurveyStore
  readonly eventStates: EventStatesStore
  readonly snapshots: StateSnapshotsStore
  readonly events: EventsStore
  readonly heads: RoomHeads
  readonly locks: KeyedMutex
}

/** What one look at the room came to. */
interface Round {
  readonly survey: StateSurveyResult
  readonly recovery: Recovery
}

/** Other servers are asked for no more states than this. */
const MAX_ASKED = 50

/** Finds the states of a room that cannot be used, and finds out what they were. */
export class StateRepair {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /** Takes the room's lock, and gives it back while other servers are asked. */
  async run(room: RoomRecord, options: StateRepairOptions): Promise<StateRepairReport> {
    const given = new Map<EventId, readonly EventId[]>()
    const asked = new Set<EventId>()
    const found = new Findings()
    let isRepaired = false
    for (;;) {
      const { survey, recovery } = await this.#look(room, given, options)
      found.add(survey, recovery)
      if (options.dryRun) return this.#foresee(found, recovery, options)
      isRepaired = recovery.replaced.size + recovery.linked.length > 0 || isRepaired
      const wanted = recovery.wanted.filter((id) => !asked.has(id)).slice(0, MAX_ASKED - asked.size)
      const came = await this.#ask(room, wanted, options.witnesses)
      for (const id of wanted) asked.add(id)
      for (const [id, state] of came) given.set(id, state)
      if (came.size === 0) {
        return { findings: found.list(), isRepaired, lost: lostOf({ survey, recovery }), recovery: undefined }
      }
    }
  }

  /** Other servers are not asked yet, but would be. */
  #foresee(found: Findings, recovery: Recovery, { witnesses }: StateRepairOptions): StateRepairReport {
    const mayAsk = witnesses !== undefined && recovery.wanted.length > 0
    const findings = found
      .list()
      .map((one) => ({ ...one, from: one.from ?? (mayAsk ? 'servers' : undefined) }))
    return { findings, isRepaired: false, lost: new Set(), recovery }
  }

  #look(
    room: RoomRecord,
    given: ReadonlyMap<EventId, readonly EventId[]>,
    { dryRun, pending }: StateRepairOptions,
  ): Promise<Round> {
    const { locks, heads, stateSurvey, stateRecovery } = this.#parts
    return locks.run(String(room.roomNid), async () => {
      await heads.whenCommitted(room)
      const survey = await stateSurvey.of(room)
      const recovery = await stateRecovery.recover({ room, survey, given, pending })
      if (!dryRun) await this.#write(room, { survey, recovery })
      return { survey, recovery }
    })
  }

  async #write(room: RoomRecord, { survey, recovery }: Round): Promise<void> {
    const { snapshots, eventStates, events, heads } = this.#parts
    const replaced = new Map([...recovery.replaced].map(([old, { nid }]) => [old, nid]))
    const useless = [...survey.unsound].flatMap(([nid, fault]) =>
      // What can still be read, wrong as it is, stays where nothing better is known.
      replaced.has(nid) || fault === 'unreadable' || !survey.faults.has(nid) ? [nid] : [],
    )
    if (replaced.size + recovery.linked.length + useless.length === 0) {
      recovery.close('abandoned')
      return
    }
    try {
      await this.#db.write('repair_states', async (tx) => {
        if (useless.length > 0) await this.#parts.survey.delete(tx, useless)
        if (recovery.rows.length > 0) await snapshots.insert(tx, recovery.rows)
        const changed = replaced.size > 0 ? await this.#parts.survey.replace(tx, room.roomNid, replaced) : []
        await eventStates.update(tx, recovery.linked)
        tx.afterCommit(() => {
          for (const nid of [...useless, ...replaced.keys()]) snapshots.forget(nid)
          for (const nid of changed) events.forget(nid)
          for (const { eventNid } of recovery.linked) events.forget(eventNid)
          heads.forget(room)
        })
      })
    } catch (error) {
      recovery.close('abandoned')
      throw error
    }
    recovery.close('committed')
  }

  async #ask(
    room: RoomRecord,
    ids: readonly EventId[],
    witnesses: RoomWitnesses | undefined,
  ): Promise<Map<EventId, readonly EventId[]>> {
    const came = new Map<EventId, readonly EventId[]>()
    if (witnesses === undefined) return came
    for (const id of ids) {
      const state = await witnesses.stateAfter(room, id)
      if (state !== undefined) came.set(id, state)
    }
    return came
  }
}

function lostOf({ survey, recovery }: Round): Set<number> {
  return new Set([...survey.faults.keys()].filter((nid) => !recovery.replaced.has(nid)))
}

/** What was found in all rounds, each once, in the order in which it was found. */
class Findings {
  readonly #found = new Map<string, MissingState>()

  add(survey: StateSurveyResult, { origins }: Recovery): void {
    for (const [nid, { first, events }] of survey.uses) {
      const fault = survey.faults.get(nid)!
      this.#keep(`state ${nid}`, { fault, eventId: first, events, from: origins.snapshots.get(nid) })
    }
    for (const event of survey.events.filter(isUnlinked)) {
      const from = origins.events.get(event.eventNid)
      this.#keep(`event ${event.eventNid}`, { fault: 'unlinked', eventId: event.eventId, events: 1, from })
    }
  }

  list(): MissingState[] {
    return [...this.#found.values()]
  }

  #keep(name: string, finding: Omit<MissingState, 'kind'>): void {
    const known = this.#found.get(name)
    this.#found.set(name, { kind: 'missingState', ...(known ?? finding), from: finding.from })
  }
}

function isUnlinked({ stateBefore, stateAfter }: StatelessEvent): boolean {
  return stateBefore === null || stateAfter === null
}
