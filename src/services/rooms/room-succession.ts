import { MatrixError } from '../../protocol/errors.js'
import type { PushRule } from '../../protocol/push-rules.js'
import { parseRoomId, type RoomId, type UserId } from '../../protocol/ids.js'
import type { Database, Tx } from '../../storage/database.js'
import type { AccountDataStore } from '../../storage/stores/account-data.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../../util/json.js'
import type { AccountData } from '../accounts/account-data.js'
import type { PushRules } from '../accounts/push-rules.js'
import type { RoomState } from '../events/room-state.js'

export interface RoomSuccessionDependencies {
  readonly db: Database
  readonly roomState: RoomState
  readonly accountData: AccountDataStore
  readonly writer: Pick<AccountData, 'writeIn'>
  readonly pushRules: Pick<PushRules, 'getRule' | 'putRule' | 'setEnabled'>
  /** Called with what fails while nobody waits. */
  readonly onError: (error: unknown) => void
}

/** Gives people's settings for a room to the room that replaces it, when they enter that. */
export class RoomSuccession {
  readonly #deps: RoomSuccessionDependencies
  readonly #running = new Set<Promise<void>>()

  constructor(deps: RoomSuccessionDependencies) {
    this.#deps = deps
  }

  /** Somebody has entered a room, which may be a successor. Returns at once and never fails. */
  onJoined(userId: UserId, room: RoomRecord): void {
    this.#start(async () => {
      const oldRoomId = await this.#predecessorOf(room.roomId)
      if (oldRoomId === undefined) return
      // Any room can claim to be a successor: the old one must agree.
      const tombstone = await this.#deps.roomState.getStateEvent(oldRoomId, 'm.room.tombstone', '')
      if (tombstone?.event.content['replacement_room'] !== room.roomId) return
      await this.#copy(userId, oldRoomId, room.roomId)
    })
  }

  /** Somebody has ended a room. They may be in the one that replaces it already. Returns at once and never fails. */
  onTombstone(userId: UserId, roomId: RoomId, replacement: unknown): void {
    const newRoomId = typeof replacement === 'string' ? parseRoomId(replacement) : undefined
    if (newRoomId === undefined) return
    this.#start(async () => {
      if ((await this.#predecessorOf(newRoomId)) !== roomId) return
      const member = await this.#deps.roomState.getMembership(newRoomId, userId)
      if (member?.membership === 'join') await this.#copy(userId, roomId, newRoomId)
    })
  }

  /** As `onJoined`, for a successor that is known to be one. */
  onJoinedSuccessor(userId: UserId, oldRoomId: RoomId, newRoomId: RoomId): void {
    this.#start(() => this.#copy(userId, oldRoomId, newRoomId))
  }

  /** Resolves when no settings are being copied any more. */
  async settle(): Promise<void> {
    await Promise.all(this.#running)
  }

  async #copy(userId: UserId, oldRoomId: RoomId, newRoomId: RoomId): Promise<void> {
    await this.#deps.db.write('copy_room_settings', async (tx) => {
      await this.#copyTags(tx, userId, { oldRoomId, newRoomId })
      await this.#copyDirect(tx, userId, { oldRoomId, newRoomId })
    })
    await this.#copyPushRule(userId, { oldRoomId, newRoomId })
  }

  async #predecessorOf(roomId: RoomId): Promise<RoomId | undefined> {
    const create = await this.#deps.roomState.getStateEvent(roomId, 'm.room.create', '')
    const predecessor = create?.event.content['predecessor']
    const named = isJsonObject(predecessor) ? predecessor['room_id'] : undefined
    return typeof named === 'string' ? parseRoomId(named) : undefined
  }

  /** How the room notifies. */
  async #copyPushRule(userId: UserId, rooms: { oldRoomId: RoomId; newRoomId: RoomId }): Promise<void> {
    const old = await this.#roomRule(userId, rooms.oldRoomId)
    if (old === undefined || (await this.#roomRule(userId, rooms.newRoomId))) return
    const name = { kind: 'room', ruleId: rooms.newRoomId } as const
    const body = { actions: old.actions as JsonValue }
    await this.#deps.pushRules.putRule(userId, name, { body, place: {} })
    if (!old.enabled) await this.#deps.pushRules.setEnabled(userId, name, false)
  }

  async #roomRule(userId: UserId, roomId: RoomId): Promise<PushRule | undefined> {
    try {
      return await this.#deps.pushRules.getRule(userId, { kind: 'room', ruleId: roomId })
    } catch (error) {
      if (error instanceof MatrixError && error.errcode === 'M_NOT_FOUND') return undefined
      throw error
    }
  }

  async #copyTags(tx: Tx, userId: UserId, rooms: { oldRoomId: RoomId; newRoomId: RoomId }): Promise<void> {
    const { accountData, writer } = this.#deps
    const old = await accountData.get(tx, userId, rooms.oldRoomId, 'm.tag')
    if (old === undefined) return
    // What the user has said of the new room already stands.
    if (await accountData.get(tx, userId, rooms.newRoomId, 'm.tag')) return
    await writer.writeIn(tx, userId, { roomId: rooms.newRoomId, type: 'm.tag', content: old })
  }

  async #copyDirect(tx: Tx, userId: UserId, rooms: { oldRoomId: RoomId; newRoomId: RoomId }): Promise<void> {
    const { accountData, writer } = this.#deps
    const direct = await accountData.get(tx, userId, undefined, 'm.direct')
    const content = direct && withSuccessor(direct, rooms.oldRoomId, rooms.newRoomId)
    if (content) await writer.writeIn(tx, userId, { roomId: undefined, type: 'm.direct', content })
  }

  #start(work: () => Promise<void>): void {
    const running = work()
      .catch((error: unknown) => {
        this.#deps.onError(error)
      })
      .finally(() => this.#running.delete(running))
    this.#running.add(running)
  }
}

/** `m.direct` with the new room wherever the old one is listed; undefined where nothing changes. */
function withSuccessor(direct: JsonObject, oldRoomId: RoomId, newRoomId: RoomId): JsonObject | undefined {
  const changed: JsonObject = {}
  for (const [userId, rooms] of Object.entries(direct)) {
    if (!Array.isArray(rooms) || !rooms.includes(oldRoomId) || rooms.includes(newRoomId)) continue
    changed[userId] = [...rooms, newRoomId]
  }
  return Object.keys(changed).length > 0 ? { ...direct, ...changed } : undefined
}
