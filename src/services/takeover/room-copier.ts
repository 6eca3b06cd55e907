import type { Database } from '../../storage/database.js'
import type { EventWriter, PlacedEventWrite } from '../../storage/stores/event-writer.js'
import type { MissingEvent } from '../../storage/stores/missing-events.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { RoomProgress } from '../../storage/stores/takeover.js'
import {
  readNewerEvents,
  readOlderEvents,
  type EventReference,
  type SourceEvent,
} from '../../storage/synapse/events.js'
import type { Event } from '../../protocol/event.js'
import { stateKeyOf } from '../../protocol/state-map.js'
import { relationOf } from '../events/event-composer.js'
import { notifiesByType } from '../events/push-actions.js'
import { RoomAuthChains, type AuthChainsParts, type UnplacedEvent } from './auth-chains.js'
import type { MissingNids } from './missing-nids.js'
import { RoomStates, type RoomStatesParts } from './room-states.js'
import { eventNidOf, eventOf } from './source-events.js'
import { StatesAround, type StatePair } from './states-around.js'

export interface RoomCopierParts extends RoomStatesParts, AuthChainsParts {
  readonly db: Database
  readonly writer: EventWriter
  readonly missingNids: MissingNids
  /** Told of events that are left out, and why. */
  readonly onUnreadable: (eventId: string, reason: string) => void
  readonly onCopied: (events: number) => void
  /** Events of one commit. */
  readonly batchSize: number
}

/** An event of the source, read. */
export interface ReadEvent {
  readonly source: SourceEvent
  readonly event: Event
  readonly eventNid: number
}

/**
 * Copies the events of one room with their states, their places in the auth chains and the gaps between them, some at a
 * time: each batch is one commit together with how far it goes, so that it can be interrupted at any point.
 */
export class RoomCopier {
  readonly #parts: RoomCopierParts
  readonly #room: RoomRecord
  readonly #states: RoomStates
  readonly #chains: RoomAuthChains
  readonly #around: StatesAround
  /** Previous events that are not there, by ID. */
  #missing = new Map<string, number>()
  #progress: RoomProgress

  constructor(parts: RoomCopierParts, room: RoomRecord, progress: RoomProgress | undefined) {
    this.#parts = parts
    this.#room = room
    this.#states = new RoomStates(parts, room.roomNid)
    this.#chains = new RoomAuthChains(parts)
    this.#around = new StatesAround({ ...parts, states: this.#states })
    this.#progress = progress ?? { roomNid: room.roomNid, newest: 0, oldest: 0, source: undefined }
  }

  /** How far it is. */
  get progress(): RoomProgress {
    return this.#progress
  }

  /** Copies what has not been copied yet. */
  async copy(): Promise<void> {
    if (this.#progress.newest > 0 || this.#progress.oldest < 0) await this.#resume()
    const { source, batchSize } = this.#parts
    const { roomId } = this.#room
    for (;;) {
      const events = await readNewerEvents(source, { roomId, after: this.#progress.newest }, batchSize)
      if (events.length > 0) await this.#take(events)
      if (events.length < batchSize) break
    }
    for (;;) {
      const events = await readOlderEvents(source, { roomId, before: this.#progress.oldest }, batchSize)
      if (events.length > 0) await this.#take(events)
      if (events.length < batchSize) break
    }
    const rest = await this.#chains.placeRest()
    if (rest.size === 0) return
    await this.#parts.db.write('takeover_chains', (tx) => this.#parts.takeover.insertAuthPositions(tx, rest))
  }

  /** Takes in events again that were outliers when they were copied, and have a place now. */
  async takeAgain(events: readonly SourceEvent[]): Promise<void> {
    await this.#take(events, { again: true })
  }

  async #resume(): Promise<void> {
    const { takeover, db } = this.#parts
    const { roomNid, roomId, rules } = this.#room
    await this.#states.load()
    this.#missing = await takeover.listMissing(db.reader, roomNid)
    const unplaced = await takeover.listUnplaced(db.reader, roomNid)
    const events = unplaced.map(({ eventNid, json }) => ({
      eventNid,
      event: eventOf(rules, json, { eventId: '', roomId }),
    }))
    await this.#chains.place(await this.#unplaced(events))
  }

  async #take(events: readonly SourceEvent[], { again = false } = {}): Promise<void> {
    const read = events.flatMap((source) => this.#read(source) ?? [])
    const references = await this.#parts.references.resolve(
      read.flatMap(({ event }) => [...event.prevEventIds, ...(event.isState() ? event.authEventIds : [])]),
    )
    const states = await this.#around.of(read, references)
    const positions = again
      ? new Map()
      : await this.#chains.place(await this.#unplaced(read.filter(({ event }) => event.isState())))
    const writes = read.map((one) => this.#toWrite(one, { states, references, again }))
    const moves = read.flatMap(({ event: { eventId }, eventNid, source }) => {
      const from = source.isOutlier ? undefined : this.#missing.get(eventId)
      return from === undefined || from === eventNid ? [] : [{ from, to: eventNid }]
    })
    const progress = again ? this.#progress : after(this.#progress, events)
    const { db, takeover, writer } = this.#parts
    await db.write('takeover_events', async (tx) => {
      await Promise.all([
        this.#states.write(tx),
        writer.write(tx, writes),
        takeover.moveEdges(tx, moves),
        positions.size > 0 ? takeover.insertAuthPositions(tx, positions) : undefined,
        takeover.putRoom(tx, progress),
      ])
    })
    this.#progress = progress
    for (const { event, source } of read) if (!source.isOutlier) this.#missing.delete(event.eventId)
    this.#parts.onCopied(events.length)
  }

  /** Undefined for what is no event, and for what no database can hold. */
  #read(source: SourceEvent): ReadEvent | undefined {
    const { rules, roomId } = this.#room
    try {
      const event = eventOf(rules, source.json, { eventId: source.eventId, roomId })
      const { type, sender, stateKey = '' } = event
      if (typeof type !== 'string' || typeof sender !== 'string' || typeof stateKey !== 'string')
        throw new Error('it is malformed')
      if (`${type}${sender}${stateKey}`.includes('\0')) throw new Error('it has a NUL character in its names')
      return { source, event, eventNid: eventNidOf(source.streamOrdering) }
    } catch (error) {
      this.#parts.onUnreadable(source.eventId, (error as Error).message)
      return undefined
    }
  }

  async #unplaced(
    events: readonly { readonly eventNid: number; readonly event: Event }[],
  ): Promise<UnplacedEvent[]> {
    const found = await this.#parts.references.resolve(events.flatMap(({ event }) => event.authEventIds))
    return events.map(({ eventNid, event }) => ({
      eventNid,
      key: stateKeyOf(event.type, event.stateKey ?? ''),
      authNids: event.authEventIds.flatMap((id) => {
        const reference = found.get(id)
        return reference ? [eventNidOf(reference.streamOrdering)] : []
      }),
    }))
  }

  #toWrite(
    { source, event, eventNid }: ReadEvent,
    given: {
      states: ReadonlyMap<number, StatePair>
      references: ReadonlyMap<string, EventReference>
      again: boolean
    },
  ): PlacedEventWrite {
    const pair = given.states.get(eventNid)
    const hasPlace = !source.isOutlier && pair !== undefined
    return {
      ...NOTHING_BESIDE,
      ...(hasPlace ? this.#previous(event, given.references) : { prevNids: [], missingPrevs: [] }),
      event,
      eventNid,
      room: this.#room,
      receivedTs: source.receivedTs ?? event.originServerTs,
      kind: kindOf(source, hasPlace),
      wasOutlier: given.again,
      streamOrdering: hasPlace ? source.streamOrdering : null,
      closesGap: hasPlace && this.#missing.has(event.eventId),
      stateBefore: pair?.before ?? null,
      stateAfter: pair?.after ?? null,
      rejected: source.rejected ?? null,
      softFailed: source.isSoftFailed,
      relation: relationOf(event),
      notifies: hasPlace && isNews(source) && notifiesByType(event),
    }
  }

  #previous(
    event: Event,
    references: ReadonlyMap<string, EventReference>,
  ): { prevNids: number[]; missingPrevs: MissingEvent[] } {
    const prevNids: number[] = []
    const missingPrevs: MissingEvent[] = []
    for (const eventId of new Set(event.prevEventIds)) {
      const reference = references.get(eventId)
      const eventNid = reference
        ? eventNidOf(reference.streamOrdering)
        : (this.#missing.get(eventId) ?? this.#parts.missingNids.next())
      prevNids.push(eventNid)
      if (reference?.isOutlier === false) continue
      this.#missing.set(eventId, eventNid)
      missingPrevs.push({ eventId, eventNid })
    }
    return { prevNids, missingPrevs }
  }
}

/** What is written otherwise than with the event: places in the chains, the present of the room, highlights. */
const NOTHING_BESIDE = {
  snapshots: [],
  authPosition: undefined,
  stateChanges: [],
  extremities: { becomesOne: false, removed: [] },
  highlights: [],
  txn: undefined,
  redaction: undefined,
} as const

function kindOf({ streamOrdering }: SourceEvent, hasPlace: boolean): PlacedEventWrite['kind'] {
  if (!hasPlace) return 'outlier'
  return streamOrdering < 0 ? 'backfilled' : 'live'
}

/** Somebody may have to be told of it. */
function isNews({ streamOrdering, rejected, isSoftFailed }: SourceEvent): boolean {
  return streamOrdering > 0 && rejected === undefined && !isSoftFailed
}

function after(progress: RoomProgress, events: readonly SourceEvent[]): RoomProgress {
  let { newest, oldest } = progress
  for (const { streamOrdering } of events) {
    newest = Math.max(newest, streamOrdering)
    oldest = Math.min(oldest, streamOrdering)
  }
  return { ...progress, newest, oldest, source: undefined }
}
