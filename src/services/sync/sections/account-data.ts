import type { Database } from '../../../storage/database.js'
import type { AccountDataEntry, AccountDataStore } from '../../../storage/stores/account-data.js'
import type { RoomId } from '../../../protocol/ids.js'
import type { JsonObject } from '../../../util/json.js'
import { pushTo } from '../../../util/group-by.js'
import type { PushRules } from '../../accounts/push-rules.js'
import type { SyncFrame } from '../sync-frame.js'

export interface SyncAccountData {
  /** Events that belong to no room. */
  readonly global: JsonObject[]
  readonly rooms: ReadonlyMap<RoomId, JsonObject[]>
}

interface Parts {
  readonly accountData: AccountDataStore
  readonly pushRules: Pick<PushRules, 'get' | 'changedBetween'>
}

const PUSH_RULES = 'm.push_rules'

/** What the user keeps on the server, and the push rules, which clients are given as if they were account data. */
export class AccountDataSection {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  async load(frame: SyncFrame): Promise<SyncAccountData> {
    const { request, since, isFull } = frame
    const { accountData: filter, room } = request.filter
    const entries = await this.#list(frame)
    const global: JsonObject[] = []
    const rooms = new Map<RoomId, JsonObject[]>()
    for (const { roomId, type, content } of entries) {
      const event = { type, content }
      if (roomId === undefined) {
        if (filter.matches(event)) global.push(event)
      } else if (room.accountData.matches({ ...event, roomId })) {
        pushTo(rooms, roomId, event)
      }
    }
    if (filter.allowsType(PUSH_RULES) && filter.allowsSender(undefined)) {
      const changed = since === undefined || isFull || (await this.#pushRulesChanged(frame, since.pushRules))
      if (changed)
        global.push({ type: PUSH_RULES, content: await this.#parts.pushRules.get(request.viewer.userId) })
    }
    return { global, rooms }
  }

  /** What changed; of rooms that are shown as a whole, and of everything at the start, all there is. */
  async #list({
    request,
    since,
    now,
    isFull,
    newlyJoined,
    joined,
  }: SyncFrame): Promise<readonly AccountDataEntry[]> {
    const { userId } = request.viewer
    const { accountData } = this.#parts
    const q = this.#db.reader
    if (since === undefined || isFull) return accountData.getAll(q, userId)
    const range = { from: since.accountData, to: now.accountData }
    const changed =
      range.from < range.to
        ? [
            ...(await accountData.listGlobalChanges(q, userId, range)),
            ...(await accountData.listRoomChanges(q, userId, range)),
          ]
        : []
    if (newlyJoined.size === 0) return changed
    const whole = new Set([...newlyJoined].map((roomNid) => joined.get(roomNid)?.room.roomId))
    const all = await accountData.getAll(q, userId)
    return [
      ...changed.filter(({ roomId }) => roomId === undefined || !whole.has(roomId)),
      ...all.filter(({ roomId }) => roomId !== undefined && whole.has(roomId)),
    ]
  }

  async #pushRulesChanged({ request, now }: SyncFrame, from: number): Promise<boolean> {
    if (from >= now.pushRules) return false
    const range = { from, to: now.pushRules }
    return this.#parts.pushRules.changedBetween(this.#db.reader, request.viewer.userId, range)
  }
}
