import type { PushRule } from '../../protocol/push-rules.js'
import { parseRoomId, type RoomId, type UserId } from '../../protocol/ids.js'
import type { Database, Tx } from '../../storage/database.js'
import type { AccountDataStore } from '../../storage/stores/account-data.js'
import type { DirectoryStore } from '../../storage/stores/directory.js'
import type { PublicRoomsStore } from '../../storage/stores/public-rooms.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import type { AccountData } from '../accounts/account-data.js'
import type { PushRules } from '../accounts/push-rules.js'
import type { RoomState } from '../events/room-state.js'
import type { DirectoryEntries } from './directory-entries.js'

export interface RoomSuccessionDependencies {
  readonly db: Database
  readonly roomState: RoomState
  readonly accountData: AccountDataStore
  readonly writer: Pick<AccountData, 'writeIn'>
  readonly pushRules: Pick<PushRules, 'listKind' | 'putRule' | 'setEnabled'>
  readonly members: Pick<RoomMembersStore, 'listForRoom'>
  readonly directory: Pick<DirectoryStore, 'moveAll'>
  readonly publicRooms: Pick<PublicRoomsStore, 'isPublished' | 'setPublished'>
  readonly entries: Pick<DirectoryEntries, 'refresh'>
  /** Called with what fails while nobody waits. */
  readonly onError: (error: unknown) => void
}

/** Kinds of push rules that can be about one room. */
const COPIED_KINDS = ['override', 'room', 'underride'] as const

/** A room and the one that replaces it: each names the other. */
interface Succession {
  readonly old: RoomRecord
  readonly next: RoomRecord
}

/**
 * Gives the room that replaces another what this server has of the old one: its aliases and its place in the directory,
 * and the settings of those who enter it.
 */
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
      const succession = oldRoomId && (await this.#findSuccession(oldRoomId))
      if (succession?.next.roomId !== room.roomId) return
      await this.#moveDirectory(succession)
      await this.#copy(userId, succession.old.roomId, room.roomId)
    })
  }

  /**
   * A room has been ended, here or on another server. People of this server may be in the one that replaces it already.
   * Returns at once and never fails.
   */
  onTombstone(roomId: RoomId): void {
    this.#start(async () => {
      const succession = await this.#findSuccession(roomId)
      if (succession === undefined) return
      const { db, members } = this.#deps
      const { next } = succession
      const followers = await members.listForRoom(db.reader, next.roomNid, ['join'], { localOnly: true })
      if (followers.length === 0) return
      await this.#moveDirectory(succession)
      for (const { userId } of followers) await this.#copy(userId, roomId, next.roomId)
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
    await this.#copyPushRules(userId, { oldRoomId, newRoomId })
  }

  /** Any room can claim to be a successor: the old one must agree. Undefined where nothing, or no such room, follows. */
  async #findSuccession(oldRoomId: RoomId): Promise<Succession | undefined> {
    const { roomState } = this.#deps
    const tombstone = await roomState.getStateEvent(oldRoomId, 'm.room.tombstone', '')
    const named = tombstone?.event.content['replacement_room']
    const nextId = typeof named === 'string' ? parseRoomId(named) : undefined
    if (nextId === undefined || (await this.#predecessorOf(nextId)) !== oldRoomId) return undefined
    const [old, next] = await Promise.all([roomState.findRoom(oldRoomId), roomState.findRoom(nextId)])
    return old && next && { old, next }
  }

  /** What people find the old room by leads to the new one. */
  async #moveDirectory({ old, next }: Succession): Promise<void> {
    const { db, directory, publicRooms, entries } = this.#deps
    const moved = await db.write('move_directory', async (tx) => {
      await directory.moveAll(tx, old.roomNid, next.roomNid)
      if (!(await publicRooms.isPublished(tx, old.roomNid))) return false
      await publicRooms.setPublished(tx, old.roomNid, false)
      await publicRooms.setPublished(tx, next.roomNid, true)
      return true
    })
    if (moved) await entries.refresh([next.roomNid])
  }

  async #predecessorOf(roomId: RoomId): Promise<RoomId | undefined> {
    const create = await this.#deps.roomState.getStateEvent(roomId, 'm.room.create', '')
    const predecessor = create?.event.content['predecessor']
    const named = isJsonObject(predecessor) ? predecessor['room_id'] : undefined
    return typeof named === 'string' ? parseRoomId(named) : undefined
  }

  /** How the room notifies: its own rule, and those that are about it, as clients mute rooms by. */
  async #copyPushRules(userId: UserId, rooms: { oldRoomId: RoomId; newRoomId: RoomId }): Promise<void> {
    const { pushRules } = this.#deps
    for (const kind of COPIED_KINDS) {
      const rules = await pushRules.listKind(userId, kind)
      const known = new Set(rules.map((rule) => rule.rule_id))
      const copies = rules.flatMap((rule) => successorRule(kind, rule, rooms) ?? [])
      // Each is put before all others of its kind.
      for (const { rule_id: ruleId, enabled, actions, conditions } of copies.toReversed()) {
        if (known.has(ruleId)) continue
        const body = { actions: [...actions], ...(conditions && { conditions: [...conditions] }) }
        await pushRules.putRule(userId, { kind, ruleId }, { body, place: {} })
        if (!enabled) await pushRules.setEnabled(userId, { kind, ruleId }, false)
      }
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

/** The rule for the new room that a rule about the old one stands for; undefined for all others. */
function successorRule(
  kind: (typeof COPIED_KINDS)[number],
  rule: PushRule,
  { oldRoomId, newRoomId }: { oldRoomId: RoomId; newRoomId: RoomId },
): PushRule | undefined {
  if (rule.default) return undefined
  if (kind === 'room') return rule.rule_id === oldRoomId ? { ...rule, rule_id: newRoomId } : undefined
  const isAbout = ({ kind: how, key, pattern }: JsonObject): boolean =>
    how === 'event_match' && key === 'room_id' && pattern === oldRoomId
  const { conditions = [], rule_id: ruleId } = rule
  if (!conditions.some(isAbout)) return undefined
  return {
    ...rule,
    rule_id: ruleId.includes(oldRoomId) ? ruleId.replaceAll(oldRoomId, newRoomId) : `${ruleId} ${newRoomId}`,
    conditions: conditions.map((condition) =>
      isAbout(condition) ? { ...condition, pattern: newRoomId } : condition,
    ),
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
