import { isInterestedInUser, type AppserviceRegistration } from '../../protocol/appservice-registration.js'
import type { Event } from '../../protocol/event.js'
import { parseUserId, type DeviceId, type RoomId, type UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { AppserviceMessage, AppservicesStore, StreamReceipt } from '../../storage/stores/appservices.js'
import type { DevicesStore } from '../../storage/stores/devices.js'
import type { StoredEvent } from '../../storage/stores/events.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomsStore } from '../../storage/stores/rooms.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import type { E2eKeys } from '../devices/e2e-keys.js'
import type { Presence } from '../ephemeral/presence.js'
import type { Typing } from '../ephemeral/typing.js'
import type { AppserviceAudience } from './appservice-audience.js'

export interface AppserviceEphemeralDependencies {
  readonly db: Database
  readonly audience: AppserviceAudience
  readonly appservices: AppservicesStore
  readonly devices: Pick<DevicesStore, 'listForUsers' | 'listAllChangedUsers'>
  readonly members: Pick<RoomMembersStore, 'sampleMembers'>
  readonly rooms: Pick<RoomsStore, 'get'>
  readonly e2eKeys: Pick<E2eKeys, 'getCounts'>
  readonly presence: Pick<Presence, 'changedUsers' | 'listChanges'>
  readonly typing: Pick<Typing, 'changedRooms' | 'usersTyping'>
  /** Rooms in which people are not interested in each other's presence. */
  readonly excludedFromPresence: ReadonlySet<RoomId>
}

/** A stretch of a stream: after one position, up to and including another. */
export interface StreamRange {
  readonly after: number
  readonly upTo: number
}

/** What there is in a range, which may end before it was to. */
export interface RangePart<T> {
  readonly items: T[]
  readonly upTo: number
}

/** Of each kind in one transaction. */
const MAX_ITEMS = 100
/** Positions of messages to devices that are looked through at once. */
const MAX_POSITIONS = 10_000
/** Users who may be out of sight after one transaction; who is left out is told of no more changes, that is all. */
const MAX_PARTED = 500
/** Devices whose keys are counted for one transaction. */
const MAX_DEVICES = 200

/** What passes by, as application services are told of it. */
export class AppserviceEphemeral {
  readonly #deps: AppserviceEphemeralDependencies

  constructor(deps: AppserviceEphemeralDependencies) {
    this.#deps = deps
  }

  /** `m.receipt` events; private receipts only of the service's users. */
  async listReceipts(
    registration: AppserviceRegistration,
    range: StreamRange,
  ): Promise<RangePart<JsonObject>> {
    const { db, appservices, audience } = this.#deps
    if (range.after >= range.upTo) return { items: [], upTo: range.upTo }
    const receipts = await appservices.listReceipts(db.reader, { ...range, limit: MAX_ITEMS })
    const upTo = receipts.length === MAX_ITEMS ? (receipts.at(-1)?.streamId ?? range.upTo) : range.upTo
    const rooms = new Map(receipts.map(({ roomId, roomNid }) => [roomId, { roomId, roomNid }]))
    const interesting = await audience.interestingRooms(registration, [...rooms.values()])
    const told = receipts.filter(
      ({ roomId, type, userId }) =>
        interesting.has(roomId) && (type !== 'm.read.private' || isInterestedInUser(registration, userId)),
    )
    return { items: receiptEvents(told), upTo }
  }

  /** `m.presence` events of the service's users and of those who are in rooms with them. */
  async listPresence(registration: AppserviceRegistration, range: StreamRange): Promise<JsonObject[]> {
    const { db, presence, audience, excludedFromPresence: without } = this.#deps
    const since = { since: range.after, upTo: range.upTo }
    const changed = presence.changedUsers(since)
    if (changed.length === 0) return []
    const interesting = await audience.interestingUsers(registration, changed, { without })
    return presence.listChanges(db.reader, since, interesting)
  }

  /** `m.typing` events of rooms where it has changed who types. */
  async listTyping(registration: AppserviceRegistration, range: StreamRange): Promise<JsonObject[]> {
    const { db, typing, rooms, audience } = this.#deps
    const names: { roomId: Parameters<Typing['usersTyping']>[0]; roomNid: number }[] = []
    for (const roomId of typing.changedRooms(range.after, range.upTo)) {
      const room = await rooms.get(db.reader, roomId)
      if (room) names.push(room)
    }
    const interesting = await audience.interestingRooms(registration, names)
    return [...interesting].map((roomId) => ({
      type: 'm.typing',
      room_id: roomId,
      content: { user_ids: typing.usersTyping(roomId) },
    }))
  }

  /** Messages for devices of the users that the registration speaks of, whoever made their accounts. */
  async listMessages(
    registration: AppserviceRegistration,
    range: StreamRange,
  ): Promise<RangePart<AppserviceMessage>> {
    const upTo = Math.min(range.upTo, range.after + MAX_POSITIONS)
    if (range.after >= upTo) return { items: [], upTo: range.upTo }
    const { db, appservices } = this.#deps
    const looked = { after: range.after, upTo }
    const recipients = await appservices.listRecipients(db.reader, looked)
    const own = recipients.filter((userId) => isInterestedInUser(registration, userId))
    const items = await appservices.listMessages(db.reader, own, { ...looked, limit: MAX_ITEMS })
    if (items.length < MAX_ITEMS) return { items, upTo }
    // Messages of one request share a position: those of the last may not all be here.
    const last = items.at(-1)?.streamId ?? upTo
    const whole = items.filter(({ streamId }) => streamId < last)
    return whole.length > 0 ? { items: whole, upTo: last - 1 } : { items, upTo: last }
  }

  /** Users whose devices have changed and whom the service can see. */
  async listChangedDevices(registration: AppserviceRegistration, range: StreamRange): Promise<UserId[]> {
    const { db, devices, audience } = this.#deps
    const changed = await devices.listAllChangedUsers(db.reader, range.after, range.upTo)
    return [...(await audience.interestingUsers(registration, [...changed]))]
  }

  /** Of the users whom these events part from the service those whom it can see nowhere else either. */
  async listParted(registration: AppserviceRegistration, events: readonly StoredEvent[]): Promise<UserId[]> {
    const { db, members, audience } = this.#deps
    const parted = new Set<UserId>()
    const rooms = new Set<number>()
    for (const { event, roomNid } of events) {
      const userId = parseUserId(event.stateKey ?? '')
      if (userId === undefined || !isDeparture(event)) continue
      if (isInterestedInUser(registration, userId)) rooms.add(roomNid)
      else parted.add(userId)
    }
    for (const userId of await members.sampleMembers(db.reader, [...rooms], MAX_PARTED)) {
      if (!isInterestedInUser(registration, userId)) parted.add(userId)
    }
    const candidates = [...parted].slice(0, MAX_PARTED)
    const seen = await audience.interestingUsers(registration, candidates)
    return candidates.filter((userId) => !seen.has(userId))
  }

  /** How many keys the devices of users have left, as `/sync` tells each device. */
  async countKeys(userIds: readonly UserId[]): Promise<JsonObject> {
    if (userIds.length === 0) return {}
    const { db, devices, e2eKeys } = this.#deps
    const all = (await devices.listForUsers(db.reader, userIds)).slice(0, MAX_DEVICES)
    const oneTime: JsonObject = {}
    const fallback: JsonObject = {}
    const add = (to: JsonObject, userId: UserId, deviceId: DeviceId, value: JsonObject[string]): void => {
      const ofUser = isJsonObject(to[userId]) ? to[userId] : (to[userId] = {})
      ofUser[deviceId] = value
    }
    for (const { userId, deviceId } of all) {
      const counts = await e2eKeys.getCounts(db.reader, { userId, deviceId })
      add(oneTime, userId, deviceId, { ...counts.oneTimeKeys })
      add(fallback, userId, deviceId, [...counts.unusedFallbackTypes])
    }
    if (all.length === 0) return {}
    return {
      'org.matrix.msc3202.device_one_time_keys_count': oneTime,
      'org.matrix.msc3202.device_unused_fallback_key_types': fallback,
    }
  }
}

function isDeparture({ type, content }: Event): boolean {
  return type === 'm.room.member' && (content['membership'] === 'leave' || content['membership'] === 'ban')
}

/** One event for each room: event ID -> type -> user ID -> receipt. */
function receiptEvents(receipts: readonly StreamReceipt[]): JsonObject[] {
  const contents = new Map<string, JsonObject>()
  for (const { roomId, eventId, type, userId, ts, threadId } of receipts) {
    let content = contents.get(roomId)
    if (content === undefined) contents.set(roomId, (content = {}))
    const users = child(child(content, eventId), type)
    users[userId] = threadId === undefined ? { ts } : { ts, thread_id: threadId }
  }
  return [...contents].map(([roomId, content]) => ({ type: 'm.receipt', room_id: roomId, content }))
}

function child(parent: JsonObject, name: string): JsonObject {
  const existing = parent[name]
  if (isJsonObject(existing)) return existing
  const made: JsonObject = {}
  parent[name] = made
  return made
}
