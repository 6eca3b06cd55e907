import type { Database } from '../../../../storage/database.js'
import type { EventsStore } from '../../../../storage/stores/events.js'
import type { TimelinesStore } from '../../../../storage/stores/timelines.js'
import type { RoomRecord } from '../../../../storage/stores/rooms.js'
import { LIVE } from '../../../../storage/stores/sliding-sync.js'
import type { EventId, RoomId, UserId } from '../../../../protocol/ids.js'
import { isJsonObject, type JsonObject } from '../../../../util/json.js'
import { pushTo } from '../../../../util/group-by.js'
import type { Receipts } from '../../../ephemeral/receipts.js'
import { positionOf } from '../connection.js'
import { selectRooms, type Extension, type ExtensionFrame, type ExtensionResult } from './extension.js'

interface Parts {
  readonly receipts: Pick<Receipts, 'listForRooms'>
  readonly timelines: Pick<TimelinesStore, 'listLatest'>
  readonly events: Pick<EventsStore, 'getByNids'>
}

/**
 * Of rooms whose receipts are new to the client: those for the events that it is given, or has been given of the end
 * of the room, and the user's own; of the others: those that have changed.
 * https://github.com/matrix-org/matrix-spec-proposals/pull/3960
 */
export class ReceiptsExtension implements Extension {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  async load(frame: ExtensionFrame, settings: JsonObject): Promise<ExtensionResult> {
    const selected = this.#selectJoined(frame, settings)
    const contents = new Map([
      ...(await this.#changes(frame, selected)),
      ...(await this.#beginnings(frame, selected)),
    ])
    for (const roomNid of selected.keys()) frame.changes.note(roomNid, { receipts: LIVE })
    await this.noteMissed(frame, settings)
    const rooms = [...contents].map(([roomId, content]) => [roomId, { type: 'm.receipt', content }])
    return { json: { rooms: Object.fromEntries(rooms) as JsonObject }, hasNews: rooms.length > 0 }
  }

  /** Notes the rooms whose receipts have changed but are not told now; without `settings`, of none they are. */
  async noteMissed(frame: ExtensionFrame, settings: JsonObject | undefined): Promise<void> {
    const { since, now, told, viewer, changes } = frame
    if (since === undefined || since.receipts >= now.receipts) return
    const selected = settings === undefined ? undefined : this.#selectJoined(frame, settings)
    const others = [...frame.visible].flatMap(([roomNid, { room }]) =>
      told.get(roomNid)?.receipts === LIVE && !selected?.has(roomNid) ? [room] : [],
    )
    const range = { since: since.receipts, upTo: now.receipts, userId: viewer.userId }
    const changed = await this.#parts.receipts.listForRooms(this.#db.reader, others, range)
    for (const { roomNid, roomId } of others)
      if (changed.has(roomId)) changes.note(roomNid, { receipts: since.receipts })
  }

  #selectJoined(frame: ExtensionFrame, settings: JsonObject): Map<number, RoomRecord> {
    const selected = selectRooms(frame, settings)
    for (const roomNid of selected.keys())
      if (frame.rooms.get(roomNid)?.membership !== 'join') selected.delete(roomNid)
    return selected
  }

  /** In rooms that the client follows, or has followed up to some point. */
  async #changes(
    frame: ExtensionFrame,
    selected: ReadonlyMap<number, RoomRecord>,
  ): Promise<Map<RoomId, JsonObject>> {
    const { since, now, viewer, told } = frame
    if (since === undefined) return new Map()
    const byPosition = new Map<number, RoomRecord[]>()
    for (const [roomNid, room] of selected) {
      if (isNew(frame, roomNid)) continue
      const after = positionOf(told.get(roomNid)?.receipts, since.receipts) ?? since.receipts
      pushTo(byPosition, after, room)
    }
    const contents = new Map<RoomId, JsonObject>()
    for (const [after, rooms] of byPosition) {
      const range = { since: after, upTo: now.receipts, userId: viewer.userId }
      const changed = await this.#parts.receipts.listForRooms(this.#db.reader, rooms, range)
      for (const [roomId, content] of changed) contents.set(roomId, content)
    }
    return contents
  }

  async #beginnings(
    frame: ExtensionFrame,
    selected: ReadonlyMap<number, RoomRecord>,
  ): Promise<Map<RoomId, JsonObject>> {
    const { now, viewer, results } = frame
    const rooms = [...selected].flatMap(([roomNid, room]) => (isNew(frame, roomNid) ? [room] : []))
    const all = await this.#parts.receipts.listForRooms(this.#db.reader, rooms, {
      since: undefined,
      upTo: now.receipts,
      userId: viewer.userId,
    })
    const earlier = await this.#shownEarlier(frame, rooms)
    const contents = new Map<RoomId, JsonObject>()
    for (const { roomNid, roomId } of rooms) {
      const now = (results.get(roomNid)?.timeline ?? []).map(({ event }) => event.eventId)
      const shown = new Set<string>([...now, ...(earlier.get(roomNid) ?? [])])
      const content = onlyShown(all.get(roomId) ?? {}, shown, viewer.userId)
      if (Object.keys(content).length > 0) contents.set(roomId, content)
    }
    return contents
  }

  /** Of rooms that the client has been told of without their receipts: the events at their ends that it has. */
  async #shownEarlier(
    { told, results, now }: ExtensionFrame,
    rooms: readonly RoomRecord[],
  ): Promise<Map<number, EventId[]>> {
    const windows = rooms.flatMap(({ roomNid }) => {
      const isTold = told.get(roomNid)?.sent !== undefined && results.get(roomNid)?.isWide !== true
      return isTold ? [{ roomNid, after: 0, upTo: now.events }] : []
    })
    if (windows.length === 0) return new Map()
    const limitOf = (roomNid: number): number => told.get(roomNid)?.timelineLimit ?? 0
    const limit = Math.max(...windows.map(({ roomNid }) => limitOf(roomNid)))
    const { timelines, events } = this.#parts
    const q = this.#db.reader
    const latest = await timelines.listLatest(q, windows, limit)
    const stored = await events.getByNids(q, [...latest.values()].flat())
    return new Map(
      [...latest].map(([roomNid, nids]) => [
        roomNid,
        nids.flatMap((nid) => stored.get(nid)?.event.eventId ?? []),
      ]),
    )
  }
}

function isNew({ told, results, since }: ExtensionFrame, roomNid: number): boolean {
  if (since === undefined || results.get(roomNid)?.isWide) return true
  return told.get(roomNid)?.receipts === undefined
}

/** The receipts for events that are shown, and on others those of the user. */
function onlyShown(content: JsonObject, shown: ReadonlySet<string>, userId: UserId): JsonObject {
  const kept: JsonObject = {}
  for (const [eventId, byType] of Object.entries(content)) {
    if (shown.has(eventId)) kept[eventId] = byType
    else if (isJsonObject(byType)) {
      const own = Object.entries(byType).flatMap(([type, users]) => {
        const receipt = isJsonObject(users) ? users[userId] : undefined
        return receipt === undefined ? [] : [[type, { [userId]: receipt }] as const]
      })
      if (own.length > 0) kept[eventId] = Object.fromEntries(own)
    }
  }
  return kept
}
