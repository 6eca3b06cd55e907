import { MatrixError, notFound } from '../../protocol/errors.js'
import { serverNameOf, type EventId, type RoomId, type ServerName, type UserId } from '../../protocol/ids.js'
import { stateKeyOf } from '../../protocol/state-map.js'
import type { Database } from '../../storage/database.js'
import { writeCurrentState, type CurrentStateChange } from '../../storage/stores/current-state-writer.js'
import type { EventGraphStore } from '../../storage/stores/event-graph.js'
import type { EventsStore } from '../../storage/stores/events.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomRepairStore } from '../../storage/stores/room-repair.js'
import type { RoomRecord, RoomsStore } from '../../storage/stores/rooms.js'
import type { StateSnapshotsStore } from '../../storage/stores/state-snapshots.js'
import type { StreamIdGenerator } from '../../storage/streams/stream-id-generator.js'
import type { KeyedMutex } from '../../util/keyed-mutex.js'
import type { PositionSink } from '../streams/notifier.js'
import type { FlatStates } from './flat-states.js'
import type { GraphFinding, GraphRepair } from './graph-repair.js'
import type { PartialRooms } from './partial-rooms.js'
import { NOTHING_PENDING } from './pending-events.js'
import type { RoomHeads } from './room-heads.js'
import type { RoomWitnesses } from './room-witnesses.js'
import type { SnapshotBuilder, SnapshotRef } from './snapshot-builder.js'
import type { MissingState, StateRepair, StateRepairReport } from './state-repair.js'
import type { StateResolver } from './state-resolver.js'

/** Something about a room that contradicts something else. */
export type RoomFinding =
  /** A forward extremity that other events follow: it is none. */
  | { readonly kind: 'followedEnd'; readonly eventId: EventId }
  /** A forward extremity that is not held, does not count, or has no state. */
  | { readonly kind: 'brokenEnd'; readonly eventId: EventId | undefined }
  /** An event that nothing follows, and that is no forward extremity. */
  | { readonly kind: 'lostEnd'; readonly eventId: EventId }
  | GraphFinding
  | MissingState
  /** The current state is not what the state at the ends comes to; undefined: nothing is there. */
  | {
      readonly kind: 'wrongState'
      readonly type: string
      readonly stateKey: string
      readonly is: EventId | undefined
      readonly shouldBe: EventId | undefined
    }
  /** Somebody whose row among the members does not say what the current state says. */
  | { readonly kind: 'wrongMember'; readonly userId: string }
  | {
      readonly kind: 'wrongCounts'
      readonly joined: number
      readonly trueJoined: number
      readonly invited: number
      readonly trueInvited: number
    }

export interface RoomRepairReport {
  readonly roomId: RoomId
  readonly findings: readonly RoomFinding[]
  /** How many more there are than are listed. */
  readonly omitted: number
  /** Whether what was found has been corrected; false where nothing was to be. */
  readonly isRepaired: boolean
  /** Why something stays as it is; undefined where nothing does. */
  readonly obstacle: string | undefined
}

interface Parts {
  readonly repair: RoomRepairStore
  readonly graphRepair: GraphRepair
  readonly stateRepair: StateRepair
  readonly rooms: RoomsStore
  readonly members: RoomMembersStore
  readonly events: EventsStore
  readonly graph: EventGraphStore
  readonly snapshots: StateSnapshotsStore
  readonly partialRooms: PartialRooms
  readonly flat: FlatStates
  readonly builder: SnapshotBuilder
  readonly resolver: StateResolver
  readonly heads: RoomHeads
  readonly locks: KeyedMutex
  readonly eventStream: StreamIdGenerator
  readonly positions: PositionSink
  readonly serverName: ServerName
}

/** What is wrong with where the graph ends. */
interface EndsDiagnosis {
  readonly findings: readonly RoomFinding[]
  readonly removed: readonly number[]
  readonly added: readonly number[]
  readonly obstacle: string | undefined
}

/** What is wrong with what follows from the ends. */
interface StateDiagnosis {
  readonly findings: readonly RoomFinding[]
  readonly changes: readonly CurrentStateChange[]
  readonly state: SnapshotRef | undefined
}

/** More are counted, and not listed. */
const MAX_FINDINGS = 1_000

/** Where nobody has looked at the states of events. */
const NOTHING_FOUND: StateRepairReport = {
  findings: [],
  isRepaired: false,
  lost: new Set(),
  recovery: undefined,
}

export interface RoomRepairOptions {
  readonly dryRun: boolean
  /** Whom to ask for what is lost here; undefined where nobody can be asked. */
  readonly witnesses?: RoomWitnesses | undefined
}

/**
 * Finds out whether what is written of a room agrees with itself, and makes it agree: what events name with what is held,
 * states with the graph, the graph's ends with the graph, the current state with the state at the ends, members with the
 * current state, counts with members. Events are never changed.
 */
export class RoomRepair {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /**
   * Corrects all that can be; `dryRun`: only says what it would be. May be interrupted at any point, and run again. Throws
   * `M_NOT_FOUND` for a room that this server knows nothing of, and `M_BAD_STATE` while the room's state is still being
   * fetched.
   */
  async repair(roomId: RoomId, { dryRun, witnesses }: RoomRepairOptions): Promise<RoomRepairReport> {
    const { graphRepair, stateRepair, locks } = this.#parts
    const room = await this.#requireWhole(roomId)
    const graph = await graphRepair.run(room, { dryRun, witnesses })
    const states = await stateRepair.run(room, { dryRun, witnesses, pending: graph.pending })
    try {
      const present = await locks.run(String(room.roomNid), () => this.#repairPresent(room, states, dryRun))
      const found = [...graph.findings, ...states.findings]
      const findings = [...found, ...present.findings]
      return {
        roomId,
        findings: findings.slice(0, MAX_FINDINGS),
        omitted: Math.max(0, findings.length - MAX_FINDINGS),
        isRepaired: graph.isRepaired || states.isRepaired || present.isRepaired,
        obstacle: joined([lossOf(found, witnesses !== undefined), present.obstacle]),
      }
    } finally {
      states.recovery?.close('abandoned')
    }
  }

  /**
   * Corrects where the graph of a room ends, with the current state and the members that come of it; gives how many ends
   * were none. Throws as `repair`.
   */
  async repairEnds(roomId: RoomId): Promise<number> {
    const room = await this.#requireWhole(roomId)
    const { findings } = await this.#parts.locks.run(String(room.roomNid), () =>
      this.#repairPresent(room, NOTHING_FOUND, false),
    )
    return findings.filter(({ kind }) => kind === 'followedEnd' || kind === 'brokenEnd').length
  }

  async #requireWhole(roomId: RoomId): Promise<RoomRecord> {
    const room = await this.#parts.rooms.get(this.#db.reader, roomId)
    if (room === undefined) throw notFound(`There is no room ${roomId}`)
    if (this.#parts.partialRooms.get(room.roomNid) === undefined) return room
    throw new MatrixError('M_BAD_STATE', 'The state of the room is still being fetched: try again later')
  }

  /** What is derived from the events and their states. */
  async #repairPresent(
    room: RoomRecord,
    states: StateRepairReport,
    dryRun: boolean,
  ): Promise<Pick<RoomRepairReport, 'findings' | 'isRepaired' | 'obstacle'>> {
    const { heads, builder } = this.#parts
    await heads.whenCommitted(room)
    const ends = await this.#diagnoseEnds(room, states)
    const state = await this.#diagnoseState(room, ends, states)
    const counts = await this.#diagnoseCounts(room)
    const findings = [...ends.findings, ...state.findings, ...counts]
    const isRepaired = findings.length > 0 && !dryRun
    if (isRepaired) await this.#write(room, ends, state)
    else if (states.recovery === undefined) builder.abandoned(state.state?.rows ?? [])
    return { findings, isRepaired, obstacle: ends.obstacle }
  }

  async #diagnoseEnds(room: RoomRecord, { recovery }: StateRepairReport): Promise<EndsDiagnosis> {
    const { repair, graph } = this.#parts
    const q = this.#db.reader
    const followed = await repair.listFollowedEnds(q, room.roomNid)
    // Those that would have been given a state before are none of them.
    const linked = new Set(recovery?.linked.map(({ eventNid }) => eventNid))
    const broken = (await repair.listBrokenEnds(q, room.roomNid)).filter(
      ({ eventNid }) => !linked.has(eventNid),
    )
    const lost = await repair.listLostEnds(q, room.roomNid)
    const ends = await graph.listForwardExtremities(q, room.roomNid)
    const removed = [...new Set([...followed, ...broken].map(({ eventNid }) => eventNid))]
    const staying = ends.filter(({ eventNid }) => !removed.includes(eventNid))
    const losesAll = ends.length > 0 && staying.length === 0 && lost.length === 0
    return {
      findings: [
        ...followed.map(({ eventId }) => ({ kind: 'followedEnd', eventId }) as const),
        ...broken.map(({ eventId }) => ({ kind: 'brokenEnd', eventId }) as const),
        ...lost.map(({ eventId }) => ({ kind: 'lostEnd', eventId }) as const),
      ],
      removed: losesAll ? [] : removed,
      added: lost.map(({ eventNid }) => eventNid),
      obstacle: losesAll ? 'no event is left that the room could end at' : undefined,
    }
  }

  async #diagnoseState(
    room: RoomRecord,
    ends: EndsDiagnosis,
    states: StateRepairReport,
  ): Promise<StateDiagnosis> {
    const { members } = this.#parts
    const nothing = { findings: [], changes: [], state: undefined }
    // Where nobody of ours is in the room, the tables hold what was last known, and newer invitations.
    if (!(await members.hasLocalMember(this.#db.reader, room.roomNid))) return nothing
    if (ends.obstacle !== undefined) return nothing
    const state = await this.#stateAtEnds(room, ends, states)
    if (state === undefined) return nothing
    const wrong = await this.#parts.flat.changesTo(room, state.snapshot, NOTHING_PENDING)
    const keys = new Set(wrong.map(({ type, stateKey }) => stateKeyOf(type, stateKey)))
    const doubted = (await this.#parts.repair.listWrongMembers(this.#db.reader, room.roomNid)).filter(
      ({ userId }) => !keys.has(stateKeyOf('m.room.member', userId)),
    )
    const present = doubted.filter(({ eventNid }) => eventNid !== undefined)
    const changes =
      present.length === 0
        ? wrong
        : await this.#parts.flat.changesTo(room, state.snapshot, NOTHING_PENDING, {
            doubted: present.map(({ userId }) => stateKeyOf('m.room.member', userId)),
          })
    const gone = doubted.filter(({ eventNid }) => eventNid === undefined)
    return {
      state,
      changes: [...changes, ...gone.map(({ userId }) => this.#goneMember(userId))],
      findings: [
        ...(await this.#describe(wrong)),
        ...doubted.map(({ userId }) => ({ kind: 'wrongMember', userId }) as const),
      ],
    }
  }

  /** What the ends come to once they are right; undefined for a room without any, and where it is lost. */
  async #stateAtEnds(
    room: RoomRecord,
    { removed, added }: EndsDiagnosis,
    { recovery, lost }: StateRepairReport,
  ): Promise<SnapshotRef | undefined> {
    const { graph, events, resolver } = this.#parts
    const ends = await graph.listForwardExtremities(this.#db.reader, room.roomNid)
    const found = await events.getByNids(this.#db.reader, added)
    const linked = new Map(recovery?.linked.map(({ eventNid, after }) => [eventNid, after]))
    const nids = [
      ...ends
        .filter(({ eventNid }) => !removed.includes(eventNid))
        .flatMap(({ eventNid, stateAfter }) => (stateAfter as number | null) ?? linked.get(eventNid) ?? []),
      ...[...found.values()].flatMap(({ stateAfter }) => stateAfter ?? []),
    ]
    if (nids.length === 0 || nids.some((nid) => lost.has(nid))) return undefined
    return recovery === undefined ? resolver.resolve(room, nids) : recovery.resolve(nids)
  }

  /** Somebody the current state says nothing of has left. */
  #goneMember(userId: string): CurrentStateChange {
    return {
      type: 'm.room.member',
      stateKey: userId,
      eventNid: null,
      prevEventNid: null,
      member: {
        membership: 'leave',
        previous: undefined,
        sender: userId as UserId,
        displayName: undefined,
        avatarUrl: undefined,
        isLocal: serverNameOf(userId) === this.#parts.serverName,
      },
    }
  }

  async #diagnoseCounts({ roomNid }: RoomRecord): Promise<RoomFinding[]> {
    const check = await this.#parts.repair.checkCounts(this.#db.reader, roomNid)
    const isRight = check.joined === check.trueJoined && check.invited === check.trueInvited
    return isRight ? [] : [{ kind: 'wrongCounts', ...check }]
  }

  async #describe(changes: readonly CurrentStateChange[]): Promise<RoomFinding[]> {
    const nids = changes.flatMap(({ eventNid, prevEventNid }) => [eventNid ?? [], prevEventNid ?? []].flat())
    const events = await this.#parts.events.getByNids(this.#db.reader, nids)
    const idOf = (nid: number | null): EventId | undefined =>
      nid === null ? undefined : events.get(nid)?.event.eventId
    return changes.map(({ type, stateKey, eventNid, prevEventNid }) => ({
      kind: 'wrongState',
      type,
      stateKey,
      is: idOf(prevEventNid),
      shouldBe: idOf(eventNid),
    }))
  }

  async #write(room: RoomRecord, ends: EndsDiagnosis, { changes, state }: StateDiagnosis): Promise<void> {
    const { repair, snapshots, eventStream, builder, heads, positions } = this.#parts
    const rows = state?.rows ?? []
    try {
      await this.#db.write('repair_room', async (tx) => {
        if (rows.length > 0) await snapshots.insert(tx, rows)
        if (ends.removed.length > 0) await repair.removeEnds(tx, room.roomNid, ends.removed)
        if (ends.added.length > 0) await repair.addEnds(tx, room.roomNid, ends.added)
        if (changes.length > 0) {
          const [position] = await eventStream.allocate(tx, 1)
          await writeCurrentState(tx, [{ room, streamOrdering: position!, stateChanges: changes }])
        }
        await repair.recount(tx, room.roomNid)
        tx.afterCommit(() => {
          builder.committed(rows)
          heads.forget(room)
        })
      })
    } catch (error) {
      builder.abandoned(rows)
      throw error
    }
    if (changes.length === 0) return
    const users = changes.flatMap(({ stateKey, member }) => (member?.isLocal ? [stateKey as UserId] : []))
    positions.onNewPosition('events', { rooms: [room.roomId], users })
  }
}

/** What stays lost, and what might help; undefined where nothing does. */
function lossOf(findings: readonly RoomFinding[], hasAsked: boolean): string | undefined {
  const count = (kind: RoomFinding['kind']): number =>
    findings.filter((one) => one.kind === kind && 'from' in one && one.from === undefined).length
  const states = count('missingState')
  const authEvents = count('missingAuthEvent')
  if (states + authEvents === 0) return undefined
  const losses = [
    ...(states > 0 ? [`${states} states of the room are lost`] : []),
    ...(authEvents > 0 ? [`${authEvents} events that authorize others are lost`] : []),
  ]
  const cure = hasAsked
    ? 'only a backup has them, or leaving the room and joining it through another server'
    : 'other servers in the room may have them, and are asked by a server that runs; else only a backup has them'
  return `${losses.join(', ')}: ${cure}`
}

function joined(reasons: readonly (string | undefined)[]): string | undefined {
  const given = reasons.filter((reason) => reason !== undefined)
  return given.length === 0 ? undefined : given.join('; ')
}
