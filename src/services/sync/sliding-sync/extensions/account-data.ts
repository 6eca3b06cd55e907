import type { Database } from '../../../../storage/database.js'
import type { AccountDataStore } from '../../../../storage/stores/account-data.js'
import { LIVE } from '../../../../storage/stores/sliding-sync.js'
import type { SlidingSyncRoomsStore } from '../../../../storage/stores/sliding-sync-rooms.js'
import type { RoomId } from '../../../../protocol/ids.js'
import type { RoomRecord } from '../../../../storage/stores/rooms.js'
import { pushTo } from '../../../../util/group-by.js'
import type { JsonObject } from '../../../../util/json.js'
import type { PushRules } from '../../../accounts/push-rules.js'
import { positionOf } from '../connection.js'
import { resumedAt } from './paused-extensions.js'
import { selectRooms, type Extension, type ExtensionFrame, type ExtensionResult } from './extension.js'

interface Parts {
  readonly accountData: AccountDataStore
  readonly store: Pick<SlidingSyncRoomsStore, 'listAccountData'>
  readonly pushRules: Pick<PushRules, 'get' | 'changedBetween'>
}

/** https://github.com/matrix-org/matrix-spec-proposals/pull/3959 */
export class AccountDataExtension implements Extension {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  async load(frame: ExtensionFrame, settings: JsonObject): Promise<ExtensionResult> {
    const [global, rooms] = await Promise.all([
      this.#global(frame),
      this.#rooms(frame, selectRooms(frame, settings)),
    ])
    await this.noteMissed(frame, settings)
    const hasNews = global.length + rooms.size > 0
    return { json: { global, rooms: Object.fromEntries(rooms) }, hasNews }
  }

  /**
   * Notes the rooms whose data have changed but are not told now; all of them where the client does not ask for account
   * data this time.
   */
  async noteMissed(frame: ExtensionFrame, settings: JsonObject | undefined): Promise<void> {
    const { since, now, told, changes, viewer } = frame
    if (since === undefined || since.accountData >= now.accountData) return
    const range = { from: since.accountData, to: now.accountData }
    const changed = await this.#parts.accountData.listRoomChanges(this.#db.reader, viewer.userId, range)
    if (changed.length === 0) return
    const roomIds = new Set(changed.map(({ roomId }) => roomId))
    const selected = settings === undefined ? new Map<number, RoomRecord>() : selectRooms(frame, settings)
    for (const [roomNid, { room }] of frame.visible) {
      if (selected.has(roomNid) || !roomIds.has(room.roomId)) continue
      if (told.get(roomNid)?.accountData === LIVE) changes.note(roomNid, { accountData: since.accountData })
    }
  }

  async #global({ viewer, pos, now }: ExtensionFrame): Promise<JsonObject[]> {
    const since = resumedAt(pos, 'account_data')?.stream
    const { userId } = viewer
    const { accountData, pushRules } = this.#parts
    const q = this.#db.reader
    const entries =
      since === undefined
        ? await accountData.getAllGlobal(q, userId)
        : await accountData.listGlobalChanges(q, userId, { from: since.accountData, to: now.accountData })
    const events: JsonObject[] = entries.map(({ type, content }) => ({ type, content }))
    const rulesChanged =
      since === undefined ||
      (since.pushRules < now.pushRules &&
        (await pushRules.changedBetween(q, userId, { from: since.pushRules, to: now.pushRules })))
    if (rulesChanged) events.push({ type: 'm.push_rules', content: await pushRules.get(userId) })
    return events
  }

  async #rooms(
    { viewer, since, now, told, changes }: ExtensionFrame,
    selected: ReadonlyMap<number, RoomRecord>,
  ): Promise<Map<RoomId, JsonObject[]>> {
    const wanted = [...selected].flatMap(([roomNid, { roomId }]) => {
      changes.note(roomNid, { accountData: LIVE })
      const after = positionOf(told.get(roomNid)?.accountData, since?.accountData ?? 0) ?? 0
      return after < now.accountData ? [{ roomId, after }] : []
    })
    const entries = await this.#parts.store.listAccountData(this.#db.reader, viewer.userId, {
      rooms: wanted,
      upTo: now.accountData,
    })
    const rooms = new Map<RoomId, JsonObject[]>()
    for (const { roomId, type, content } of entries) {
      if (roomId !== undefined) pushTo(rooms, roomId, { type, content })
    }
    return rooms
  }
}
