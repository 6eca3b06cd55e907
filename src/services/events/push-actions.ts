import type { Database } from '../../storage/database.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { Event } from '../../protocol/event.js'
import type { UserId } from '../../protocol/ids.js'
import { parsePowerLevels, userPowerLevel } from '../../protocol/power-levels.js'
import type { RoomVersionRules } from '../../protocol/room-versions.js'
import type { AuthState } from '../../protocol/state-map.js'
import { isJsonObject } from '../../util/json.js'

/** Stands for everybody in the room but the sender. */
export const EVERYBODY = '*' as UserId

/** What an event does to the unread counts of the room's members. */
export interface PushVerdict {
  /** The default push rules notify all joined members but the sender. */
  readonly notifies: boolean
  /** Whom it highlights: local members by name, or `EVERYBODY`. */
  readonly highlights: readonly UserId[]
}

const NOTIFYING_TYPES = new Set([
  'm.room.message',
  'm.room.encrypted',
  'm.room.tombstone',
  'm.call.invite',
  'm.poll.start',
  'org.matrix.msc3381.poll.start',
])

/**
 * Judges events by the default push rules, once per event: no row per member and message.
 * https://spec.matrix.org/latest/client-server-api/#default-override-rules
 */
export class PushActions {
  readonly #db: Database
  readonly #members: RoomMembersStore
  readonly #enabled: boolean

  constructor(db: Database, members: RoomMembersStore, options: { enabled: boolean }) {
    this.#db = db
    this.#members = members
    this.#enabled = options.enabled
  }

  /** `mayNotifyRoom`: the sender's power level reaches `notifications.room`. */
  async judge(
    room: RoomRecord,
    event: Event,
    options: { mayNotifyRoom: () => boolean },
  ): Promise<PushVerdict> {
    if (!this.#enabled || isEdit(event) || event.content['msgtype'] === 'm.notice') return SILENT
    if (event.type === 'm.room.tombstone' && event.stateKey === '') {
      return { notifies: true, highlights: [EVERYBODY] }
    }
    const mentions = event.content['m.mentions']
    const notifies = NOTIFYING_TYPES.has(event.type) && !event.isState()
    if (!isJsonObject(mentions)) return notifies ? NOTIFYING : SILENT
    if (mentions['room'] === true && options.mayNotifyRoom())
      return { notifies: true, highlights: [EVERYBODY] }
    const highlights = await this.#mentionedMembers(room, event, mentions['user_ids'])
    return { notifies, highlights }
  }

  async #mentionedMembers(room: RoomRecord, event: Event, userIds: unknown): Promise<UserId[]> {
    if (!Array.isArray(userIds)) return []
    const named = [
      ...new Set(userIds.filter((id): id is string => typeof id === 'string' && id !== event.sender)),
    ]
    if (named.length === 0) return []
    const members = await this.#members.getMany(this.#db.reader, room.roomNid, named)
    return [...members.values()].flatMap((member) =>
      member.isLocal && member.membership === 'join' ? [member.userId] : [],
    )
  }
}

const SILENT: PushVerdict = { notifies: false, highlights: [] }
const NOTIFYING: PushVerdict = { notifies: true, highlights: [] }

function isEdit(event: Event): boolean {
  const relation = event.content['m.relates_to']
  return isJsonObject(relation) && relation['rel_type'] === 'm.replace'
}

/** Whether the sender's power level lets `m.mentions.room` notify everybody. */
export function mayNotifyRoom(rules: RoomVersionRules, event: Event, state: AuthState): boolean {
  const create = state.get('m.room.create', '')
  if (!create) return false
  const levels = parsePowerLevels(rules, state.get('m.room.power_levels', ''))
  return userPowerLevel(rules, levels, create, event.sender) >= levels.notifications.room
}
