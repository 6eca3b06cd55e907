import type { Tx } from '../../storage/database.js'
import type { EventTxn, EventWrite } from '../../storage/stores/event-writer.js'
import type { StoredEvent } from '../../storage/stores/events.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import { buildEvent, type EventSigner } from '../../protocol/event-builder.js'
import { badJson, tooLarge } from '../../protocol/errors.js'
import {
  fitsBytes,
  MAX_ID_BYTES,
  type DeviceId,
  type EventId,
  type RoomId,
  type ServerName,
  type UserId,
} from '../../protocol/ids.js'
import type { RoomVersionRules } from '../../protocol/room-versions.js'
import type { Clock } from '../../util/clock.js'
import type { JsonObject } from '../../util/json.js'
import type { KeyedMutex } from '../../util/keyed-mutex.js'
import { randomRoomLocalpart } from '../../util/random.js'
import type { SpamChecks } from '../accounts/spam-checks.js'
import type { EventDraft } from './event-assembler.js'
import type { ComposeInput, EventComposer, GraphEnd } from './event-composer.js'
import type { EventPolicy } from './event-policy.js'
import { StaleHeadError, type EventPersister } from './event-persister.js'
import { checkFirstEvents } from './first-events.js'
import type { RoomHead, RoomHeads } from './room-heads.js'
import type { RoomState } from './room-state.js'
import type { SentTransactions } from './sent-transactions.js'
import type { SnapshotBuilder } from './snapshot-builder.js'
import type { RoomRegistrar } from './room-registrar.js'

/** Who an event is from. With a device, transaction IDs make sending idempotent. */
export interface EventSource {
  readonly userId: UserId
  readonly deviceId?: DeviceId | undefined
}

export interface SendInput extends EventDraft {
  readonly roomId: RoomId
  readonly txnId?: string | undefined
  /** `origin_server_ts` for application services that may set it; otherwise now. */
  readonly ts?: number | undefined
  /**
   * What must be there before the event is, and names it. Runs once, when it is clear that the event may be sent, while
   * nobody else sends in the room; what it throws is thrown, and the event not sent.
   */
  readonly beforehand?: ((eventId: EventId) => Promise<void>) | undefined
}

/** A draft whose sender need not be the one who sends the batch. */
export interface BatchDraft extends EventDraft {
  readonly sender?: UserId
}

export interface CreateRoomInput {
  readonly rules: RoomVersionRules
  /** As `newRoomId` makes them, for a room that is named before it is there; otherwise a new one. */
  readonly roomId?: RoomId | undefined
  /** The content of the create event, whole. */
  readonly createContent: JsonObject
  /** The events that follow, in order. */
  readonly drafts: (roomId: RoomId) => readonly BatchDraft[]
  readonly isPublic: boolean
  /** Further rows of the same transaction. May run more than once. */
  readonly inTransaction?: (tx: Tx, room: RoomRecord) => Promise<void>
}

interface Parts {
  readonly roomState: RoomState
  readonly heads: RoomHeads
  readonly composer: EventComposer
  readonly persister: EventPersister
  readonly builder: SnapshotBuilder
  readonly registrar: RoomRegistrar
  readonly transactions: SentTransactions
  readonly locks: KeyedMutex
  readonly clock: Clock
  readonly signer: EventSigner
  readonly serverName: ServerName
  /** Without it, nobody is asked what may be said in a room. */
  readonly policy?: Pick<EventPolicy, 'approve'> | undefined
  /** Services that say what is spam; without it, there are none. */
  readonly spam?: Pick<SpamChecks, 'checkEvent'> | undefined
}

interface Composed {
  readonly writes: readonly EventWrite[]
  readonly end: GraphEnd
}

/** How often a send is tried anew when the event before it could not be stored. */
const MAX_ATTEMPTS = 3

/**
 * Sends events of our own users. One writer per room at a time decides what the next event is; the lock is released
 * before the commit, so that the events of many senders in one room share it too.
 */
export class EventSender {
  readonly #parts: Parts
  /** When the last room was made. */
  #lastRoomTs = 0

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /**
   * Sends one event and resolves when it is committed and readers can see it. An identical piece of state is not sent
   * again. 403 `M_FORBIDDEN` when the room's rules refuse it, 404 `M_NOT_FOUND` for an unknown room, 413 `M_TOO_LARGE`.
   */
  async send(source: EventSource, input: SendInput): Promise<EventId> {
    const room = await this.#parts.roomState.requireRoom(input.roomId)
    const { deviceId, userId } = source
    const { txnId } = input
    if (txnId === undefined || deviceId === undefined) return this.#sendOne(room, userId, { input })
    const device = { userId, deviceId }
    return this.#parts.transactions.once(device, { roomNid: room.roomNid, txnId }, () =>
      this.#sendOne(room, userId, { input, txn: { ...device, txnId } }),
    )
  }

  /** Sends several events, each after the one before, all or none of them. */
  async sendBatch(source: EventSource, roomId: RoomId, drafts: readonly BatchDraft[]): Promise<EventId[]> {
    const room = await this.#parts.roomState.requireRoom(roomId)
    await this.#prepare(drafts, () => undefined)
    return this.#retrying(async () => {
      const stored = await this.#composeLocked(room, (head) =>
        this.#composeAll(head, drafts, (draft) => ({ draft, sender: draft.sender ?? source.userId })),
      )
      return stored.map(({ event }) => event.eventId)
    })
  }

  /** A room ID that no room has yet, in room versions where it is no hash of the create event. */
  newRoomId(): RoomId {
    return `!${randomRoomLocalpart()}:${this.#parts.serverName}` as RoomId
  }

  /** Creates a room: its row, its create event and the events that follow, in one transaction. */
  async createRoom(
    creator: UserId,
    input: CreateRoomInput,
  ): Promise<{ roomId: RoomId; eventIds: EventId[] }> {
    const originServerTs = this.#roomTs()
    const room = await this.#newRoom(creator, input, originServerTs)
    const empty = await this.#parts.builder.empty(room, { isNewRoom: true })
    const head: RoomHead = { room, extremities: [], state: empty, pending: new Map(), failed: false }
    const create = { type: 'm.room.create', stateKey: '', content: input.createContent }
    const drafts: readonly BatchDraft[] = [create, ...input.drafts(room.roomId)]
    const toInput = (draft: BatchDraft): ComposeInput => ({
      draft,
      sender: draft.sender ?? creator,
      // The room ID of version 12 is the hash of the create event: it must come out the same again.
      originServerTs: draft === create ? originServerTs : undefined,
    })
    await this.#prepare(drafts, () =>
      checkFirstEvents({ ...room, createdTs: originServerTs }, drafts.map(toInput), this.#parts.signer),
    )
    const composed = await this.#composeAll(head, drafts, toInput)
    // Before the commit, so that whoever finds the room after it finds this head too.
    this.#advance(head, composed)
    const stored = await this.#parts.persister.persist({
      head,
      writes: composed.writes,
      inTransaction: async (tx) => {
        await this.#parts.registrar.insert(tx, room, { isPublic: input.isPublic, createdTs: originServerTs })
        await input.inTransaction?.(tx, room)
      },
    })
    return { roomId: room.roomId, eventIds: stored.map(({ event }) => event.eventId) }
  }

  async #sendOne(
    room: RoomRecord,
    sender: UserId,
    { input, txn }: { input: SendInput; txn?: EventTxn },
  ): Promise<EventId> {
    const compose = { draft: draftOf(input), sender, originServerTs: input.ts, txn }
    const preparing = this.#prepare([compose.draft], () => this.#checkAllowed(room, compose))
    // Without a turn's delay where there is nothing to do, so that events keep the order in which they came.
    if (preparing) await preparing
    let { beforehand } = input
    return this.#retrying(async () => {
      let identical: StoredEvent | undefined
      const stored = await this.#composeLocked(room, async (head) => {
        identical = await this.#parts.composer.findIdentical(head, compose)
        if (identical) return undefined
        const { write, end } = await this.#composeApproved(head, head, compose)
        // Memberships have been asked about under their own names.
        const { spam } = this.#parts
        if (spam && input.type !== 'm.room.member') {
          await this.#runBeforehand(write, () => spam.checkEvent(write.event))
        }
        if (beforehand) await this.#runBeforehand(write, beforehand)
        beforehand = undefined
        return { writes: [write], end }
      })
      return (identical ?? stored[0]!).event.eventId
    })
  }

  /**
   * Outside of the room's lock: naming new state keys is a commit, which others who send then share. Names last, so that
   * nobody is given one for what will be refused: that is asked for before.
   */
  #prepare(drafts: readonly EventDraft[], check: () => Promise<void> | void): Promise<void> | undefined {
    for (const draft of drafts) checkNames(draft)
    return this.#parts.composer.knows(drafts) ? undefined : this.#nameKeys(drafts, check)
  }

  async #nameKeys(drafts: readonly EventDraft[], check: () => Promise<void> | void): Promise<void> {
    await check()
    await this.#parts.composer.prepare(drafts)
  }

  /** 403 `M_FORBIDDEN` for an event that the room's rules do not allow now. */
  #checkAllowed(room: RoomRecord, input: ComposeInput): Promise<void> {
    return this.#parts.locks.run(String(room.roomNid), async () => {
      await this.#parts.composer.propose(await this.#parts.heads.get(room), input)
    })
  }

  /** Composes under the room's lock and commits outside of it. */
  async #composeLocked(
    room: RoomRecord,
    compose: (head: RoomHead) => Promise<Composed | undefined>,
  ): Promise<readonly StoredEvent[]> {
    const committing = await this.#parts.locks.run(String(room.roomNid), async () => {
      const head = await this.#parts.heads.get(room)
      const composed = await compose(head)
      if (!composed) return { stored: Promise.resolve([]) }
      this.#advance(head, composed)
      const stored = this.#parts.persister.persist({ head, writes: composed.writes })
      // The lock must not wait for the commit; whoever awaits below gets the failure.
      stored.catch(() => undefined)
      return { stored }
    })
    return committing.stored
  }

  /** Composes events, each after the one before. */
  async #composeAll(
    head: RoomHead,
    drafts: readonly BatchDraft[],
    toInput: (draft: BatchDraft) => ComposeInput,
  ): Promise<Composed> {
    const writes: EventWrite[] = []
    let end: GraphEnd = head
    try {
      for (const draft of drafts) {
        const composed = await this.#composeApproved(head, end, toInput(draft))
        writes.push(composed.write)
        end = composed.end
      }
    } catch (error) {
      const named = writes.flatMap(({ snapshots }) => snapshots)
      this.#parts.builder.abandoned(named.filter((row) => !head.state.rows.includes(row)))
      throw error
    }
    return { writes, end }
  }

  /** An event that the room's policy server, if it has one, wants in the room. */
  async #composeApproved(
    head: RoomHead,
    end: GraphEnd,
    input: ComposeInput,
  ): Promise<{ write: EventWrite; end: GraphEnd }> {
    const composed = await this.#parts.composer.compose(head, end, input)
    const { policy } = this.#parts
    if (!policy) return composed
    try {
      const event = await policy.approve(head, composed.write.event)
      return event === composed.write.event ? composed : { ...composed, write: { ...composed.write, event } }
    } catch (error) {
      this.#parts.builder.abandoned(composed.write.snapshots)
      throw error
    }
  }

  async #runBeforehand(
    { event, snapshots }: EventWrite,
    beforehand: (eventId: EventId) => Promise<void>,
  ): Promise<void> {
    try {
      await beforehand(event.eventId)
    } catch (error) {
      this.#parts.builder.abandoned(snapshots)
      throw error
    }
  }

  /** Makes what was composed the room's end. What was committed in the meantime is no longer pending. */
  #advance(head: RoomHead, { writes, end }: Composed): void {
    const events = writes.flatMap(({ eventNid }) => {
      const pending = end.pending.get(eventNid)
      return pending ? [[eventNid, pending] as const] : []
    })
    this.#parts.heads.advance(head, end, events)
  }

  async #retrying<T>(send: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await send()
      } catch (error) {
        if (!(error instanceof StaleHeadError) || attempt === MAX_ATTEMPTS) throw error
      }
    }
  }

  /**
   * Now, or a little later: a room ID that is the hash of the create event is new only if the event is, and two rooms
   * may be made alike in the same millisecond.
   */
  #roomTs(): number {
    this.#lastRoomTs = Math.max(this.#parts.clock.now(), this.#lastRoomTs + 1)
    return this.#lastRoomTs
  }

  async #newRoom(creator: UserId, input: CreateRoomInput, originServerTs: number): Promise<RoomRecord> {
    const { rules, createContent } = input
    const roomType = createContent['type']
    return this.#parts.registrar.prepare({
      roomId: rules.roomIdIsCreateHash
        ? this.#hashRoomId(creator, input, originServerTs)
        : (input.roomId ?? this.newRoomId()),
      rules,
      creator,
      roomType: typeof roomType === 'string' ? roomType : undefined,
    })
  }

  #hashRoomId(creator: UserId, input: CreateRoomInput, originServerTs: number): RoomId {
    const create = buildEvent(
      input.rules,
      {
        type: 'm.room.create',
        sender: creator,
        stateKey: '',
        content: input.createContent,
        prevEvents: [],
        authEvents: [],
        depth: 1,
        originServerTs,
      },
      this.#parts.signer,
    )
    return create.roomId
  }
}

function draftOf({ type, content, stateKey, stickyMs }: SendInput): EventDraft {
  return {
    type,
    content,
    ...(stateKey !== undefined && { stateKey }),
    ...(stickyMs !== undefined && { stickyMs }),
  }
}

/** Before anything is looked up by them: no column holds NUL or half of a character, and no event has longer names. */
function checkNames({ type, stateKey = '' }: EventDraft): void {
  for (const name of [type, stateKey]) {
    if (name.includes('\u0000') || !name.isWellFormed()) {
      throw badJson('The type or state key of an event has characters that cannot be stored')
    }
    if (!fitsBytes(name, MAX_ID_BYTES)) throw tooLarge('The type or state key of an event is too long')
  }
}
