import type { Database } from '../../storage/database.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { StateKeysStore } from '../../storage/stores/state-keys.js'
import type { StateSnapshotsStore } from '../../storage/stores/state-snapshots.js'
import { TakeoverChecksStore } from '../../storage/stores/takeover-checks.js'
import type { TakeoverStore } from '../../storage/stores/takeover.js'
import { readCurrentStates } from '../../storage/synapse/current-states.js'
import { extentText, listRooms, type SourceRoom } from '../../storage/synapse/rooms.js'
import type { SynapseSource } from '../../storage/synapse/source.js'
import { hasValidContentHash, hashEventId, essentialText } from '../../protocol/hashes.js'
import type { ProgressSink } from '../../util/progress-sink.js'
import { obstacleTo } from './room-copying.js'
import { smallTables } from './small-tables.js'
import { checkTables, type TableCheck } from './table-checks.js'
import type { CopyFacts } from './table-copy.js'

/** Something that is not the same on both sides. */
export interface Difference {
  readonly kind: 'events' | 'current_state' | 'state' | 'hash' | 'table'
  /** Undefined for what is about a table. */
  readonly roomId?: string
  readonly detail: string
}

/** What was held against the source, and what did not agree. */
export interface Verification {
  readonly rooms: number
  readonly events: number
  /** Pieces of current state that were compared. */
  readonly stateEntries: number
  /** Events whose hashes were computed anew. */
  readonly hashes: number
  /** Everything beside rooms, by kind. */
  readonly tables: readonly TableCheck[]
  readonly differences: readonly Difference[]
}

export interface VerificationParts {
  readonly db: Database
  readonly takeover: TakeoverStore
  readonly snapshots: StateSnapshotsStore
  readonly stateKeys: StateKeysStore
  readonly events: EventsStore
  readonly progress: ProgressSink
}

const ROOMS_AT_ONCE = 100
/** Events of each room whose hashes are checked: the newest, and those of its state. */
const HASHES_PER_ROOM = 20
const DIFFERENCES_NAMED = 200

/**
 * Holds the copy against the source: how many events every room has, its current state piece by piece, that the state
 * after the ends of its graph is just that, on a sample of events that their hashes name them, and every row of
 * everything else.
 */
export class TakeoverVerification {
  readonly #parts: VerificationParts
  readonly #source: SynapseSource
  readonly #facts: CopyFacts
  readonly #checks = new TakeoverChecksStore()
  readonly #differences: Difference[] = []
  #events = 0
  #stateEntries = 0
  #hashes = 0

  constructor(parts: VerificationParts, source: SynapseSource, facts: CopyFacts) {
    this.#parts = parts
    this.#source = source
    this.#facts = facts
  }

  async run(): Promise<Verification> {
    const { takeover, db, progress } = this.#parts
    const nids = await takeover.listRoomNids(db.reader)
    const rooms = (await listRooms(this.#source)).filter((room) => obstacleTo(room) === undefined)
    progress.start('verification', rooms.length, 'rows')
    for (let start = 0; start < rooms.length; start += ROOMS_AT_ONCE) {
      await this.#verify(rooms.slice(start, start + ROOMS_AT_ONCE), nids)
      progress.advance(Math.min(ROOMS_AT_ONCE, rooms.length - start))
    }
    progress.finish()
    const tables = await this.#checkTables()
    return {
      rooms: rooms.length,
      events: this.#events,
      stateEntries: this.#stateEntries,
      hashes: this.#hashes,
      tables,
      differences: this.#differences.slice(0, DIFFERENCES_NAMED),
    }
  }

  async #checkTables(): Promise<TableCheck[]> {
    const { db, progress } = this.#parts
    const [source, facts] = [this.#source, this.#facts]
    const copies = smallTables(source, facts.serverName)
    let total = 0
    for (const copy of copies) total += await copy.count(source)
    progress.start('checksums of all else', total, 'rows')
    const onRows = (n: number): void => progress.advance(n)
    const checks = await checkTables(copies, { db, source, facts, onRows })
    progress.finish()
    for (const { what, missing, checksum, found } of checks) {
      if (missing === 0 && checksum === found) continue
      const detail = `${missing} of the ${what} are not as they are there (checksums ${checksum} and ${found})`
      this.#differences.push({ kind: 'table', detail })
    }
    return checks
  }

  async #verify(rooms: readonly SourceRoom[], nids: ReadonlyMap<string, number>): Promise<void> {
    const { db } = this.#parts
    const roomNids = rooms.flatMap(({ roomId }) => nids.get(roomId) ?? [])
    const states = await readCurrentStates(
      this.#source,
      rooms.map(({ roomId }) => roomId),
    )
    const [own, counts, ends] = await Promise.all([
      this.#checks.readCurrentStates(db.reader, roomNids),
      this.#checks.countEvents(db.reader, roomNids),
      this.#checks.listEnds(db.reader, roomNids),
    ])
    for (const room of rooms) {
      const nid = nids.get(room.roomId)
      if (nid === undefined) {
        this.#differ('events', room.roomId, 'the room was not copied')
        continue
      }
      this.#compareCounts(room, counts.get(nid) ?? { events: 0, outliers: 0, rejected: 0 })
      const expected = states.get(room.roomId)
      const held = own.get(nid) ?? new Map<string, string>()
      // Rooms that nobody here is in any more have no current state there.
      if (expected) this.#compareStates(room.roomId, expected, held)
      const end = ends.get(nid) ?? []
      if (expected && end.length === 1) await this.#compareEnd(room.roomId, end[0], held)
    }
    await this.#checkHashes(roomNids)
  }

  #compareCounts(
    { roomId, extent }: SourceRoom,
    counts: { readonly events: number; readonly outliers: number; readonly rejected: number },
  ): void {
    this.#events += counts.events
    const copied = extentText({ ...extent, ...counts })
    if (copied === extentText(extent)) return
    this.#differ(
      'events',
      roomId,
      `${counts.events} of ${extent.events} events, ${counts.outliers} of ${extent.outliers} outliers, ` +
        `${counts.rejected} of ${extent.rejected} rejected events`,
    )
  }

  #compareStates(
    roomId: string,
    expected: ReadonlyMap<string, string>,
    held: ReadonlyMap<string, string>,
  ): void {
    this.#stateEntries += expected.size
    const wrong = [...expected].filter(([key, eventId]) => held.get(key) !== eventId).length
    const extra = [...held.keys()].filter((key) => !expected.has(key)).length
    if (wrong + extra > 0)
      this.#differ('current_state', roomId, `${wrong} pieces of state differ, ${extra} are too many`)
  }

  /** The state after the room's one end is its current state. */
  async #compareEnd(
    roomId: string,
    stateAfter: number | undefined,
    held: ReadonlyMap<string, string>,
  ): Promise<void> {
    const { db, snapshots, stateKeys } = this.#parts
    if (stateAfter === undefined) {
      this.#differ('state', roomId, 'the end of the room has no state')
      return
    }
    const snapshot = await snapshots.get(db.reader, stateAfter)
    const names = await stateKeys.names(db.reader, [...snapshot.keys])
    const ids = await this.#checks.eventIds(db.reader, [...snapshot.events])
    let wrong = Math.abs(snapshot.size - held.size)
    for (const [keyNid, eventNid] of snapshot.entries()) {
      const name = names.get(keyNid)
      if (name === undefined || held.get(name) !== ids.get(eventNid)) wrong += 1
    }
    if (wrong > 0) this.#differ('state', roomId, `the state after the room's end differs in ${wrong} pieces`)
  }

  async #checkHashes(roomNids: readonly number[]): Promise<void> {
    const { db, events } = this.#parts
    const sample = await this.#checks.sampleEvents(db.reader, roomNids, HASHES_PER_ROOM)
    for (const stored of (await events.getByNids(db.reader, sample)).values()) {
      this.#hashes += 1
      if (!isNamedByHash(stored)) {
        this.#differ('hash', stored.event.roomId, `${stored.event.eventId} is not named by its hash`)
      }
    }
  }

  #differ(kind: Difference['kind'], roomId: string, detail: string): void {
    this.#differences.push({ kind, roomId, detail })
  }
}

/** Events of the first room versions are not named by their hash: there, the hash of their content is in them. */
function isNamedByHash({ event, redactedBy }: StoredEvent): boolean {
  if (event.rules.eventIdFormat === 'v1') return redactedBy !== null || hasValidContentHash(event)
  return hashEventId(event.rules, essentialText(event.rules, event.json)) === event.eventId
}
