import { isInterestedInUser, type AppserviceRegistration } from '../../protocol/appservice-registration.js'
import { parseUserId, type UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { AppserviceMessage, AppservicePositions } from '../../storage/stores/appservices.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { TimelinesStore } from '../../storage/stores/timelines.js'
import type { UsersStore } from '../../storage/stores/users.js'
import type { JsonObject } from '../../util/json.js'
import type { AppserviceQueries } from '../appservices/appservice-queries.js'
import type { ClientEvents } from '../events/client-events.js'
import type { PrejoinState } from '../events/prejoin-state.js'
import type { AppserviceAudience } from './appservice-audience.js'
import type { AppserviceEphemeral } from './appservice-ephemeral.js'

/** Where all streams are that services are told of; typing is in memory and counts from the start. */
export interface StreamHeads extends AppservicePositions {
  readonly typing: number
}

/** What is next to be told. */
export interface CollectedTransaction {
  /** Undefined where nothing in the ranges concerns the service. */
  readonly body: JsonObject | undefined
  /** How far it goes; not always as far as there is something. */
  readonly positions: StreamHeads
}

export interface AppserviceTransactionsDependencies {
  readonly db: Database
  readonly audience: AppserviceAudience
  readonly ephemeral: AppserviceEphemeral
  readonly timelines: Pick<TimelinesStore, 'listStreamWithOutside'>
  readonly events: EventsStore
  readonly prejoin: Pick<PrejoinState, 'ofMembers'>
  readonly users: Pick<UsersStore, 'exists'>
  readonly queries: Pick<AppserviceQueries, 'hasUser'>
  readonly clientEvents: Pick<ClientEvents, 'serialize'>
}

/** Events in one transaction. */
const MAX_EVENTS = 100
/** Positions of the events stream that are looked through at once. */
const MAX_LOOKED_AT = 500

/** Makes transactions of what has happened. https://spec.matrix.org/latest/application-service-api/#pushing-events */
export class AppserviceTransactions {
  readonly #deps: AppserviceTransactionsDependencies

  constructor(deps: AppserviceTransactionsDependencies) {
    this.#deps = deps
  }

  /** What comes after `from`, up to `heads` at most. */
  async collect(
    registration: AppserviceRegistration,
    from: StreamHeads,
    heads: StreamHeads,
  ): Promise<CollectedTransaction> {
    const events = await this.#events(registration, { after: from.events, upTo: heads.events })
    const passing = registration.receivesEphemeral
      ? await this.#passing(registration, from, heads)
      : { parts: {}, messages: [], receipts: heads.receipts, toDevice: heads.toDevice }
    const devices = registration.receivesDeviceLists
      ? await this.#devices(registration, { from, heads, events: events.stored, messages: passing.messages })
      : {}
    const isEmpty =
      events.stored.length === 0 &&
      Object.keys(passing.parts).length === 0 &&
      !('org.matrix.msc3202.device_lists' in devices)
    return {
      body: isEmpty ? undefined : { events: events.json, ...passing.parts, ...devices },
      positions: {
        ...heads,
        events: events.upTo,
        receipts: passing.receipts,
        toDevice: passing.toDevice,
      },
    }
  }

  async #events(
    registration: AppserviceRegistration,
    range: { after: number; upTo: number },
  ): Promise<{ stored: StoredEvent[]; json: JsonObject[]; upTo: number }> {
    const { db, timelines, events, clientEvents } = this.#deps
    const upTo = Math.min(range.upTo, range.after + MAX_LOOKED_AT)
    if (range.after >= upTo) return { stored: [], json: [], upTo: Math.max(range.after, upTo) }
    const rows = await timelines.listStreamWithOutside(db.reader, range.after, upTo)
    const found = await events.getByNids(
      db.reader,
      rows.map(({ eventNid }) => eventNid),
    )
    const shown = rows.flatMap(({ eventNid }) => {
      const stored = found.get(eventNid)
      return stored?.rejected === null && !stored.softFailed ? [stored] : []
    })
    const interesting = await this.#interesting(registration, shown)
    const told = interesting.slice(0, MAX_EVENTS)
    const lastTold = interesting.length > MAX_EVENTS ? told.at(-1)?.eventNid : undefined
    const last = rows.find(({ eventNid }) => eventNid === lastTold)?.streamOrdering
    await this.#askForUsers(registration, told)
    const json = await clientEvents.serialize({ userId: registration.senderId }, told, {
      includeMembership: false,
      bundle: false,
    })
    const invites = await this.#inviteStates(registration, told)
    return {
      stored: told,
      json: told.map((stored, index) => toServiceEvent(stored, json[index]!, invites.get(stored.eventNid))),
      upTo: last ?? upTo,
    }
  }

  async #interesting(
    registration: AppserviceRegistration,
    events: readonly StoredEvent[],
  ): Promise<StoredEvent[]> {
    const rooms = new Map(
      events.map(({ event: { roomId }, roomNid }) => [roomId, { roomId, roomNid }] as const),
    )
    const interesting = await this.#deps.audience.interestingRooms(registration, [...rooms.values()])
    return events.filter(
      ({ event }) =>
        interesting.has(event.roomId) ||
        isInterestedInUser(registration, event.sender) ||
        (event.type === 'm.room.member' &&
          event.stateKey !== undefined &&
          parseUserId(event.stateKey) !== undefined &&
          isInterestedInUser(registration, event.stateKey)),
    )
  }

  /** Users of the service's namespace who are spoken of before there is an account: it may make one. */
  async #askForUsers(registration: AppserviceRegistration, events: readonly StoredEvent[]): Promise<void> {
    const { db, users, queries } = this.#deps
    const invited = new Set(
      events.flatMap(({ event }) => {
        if (event.type !== 'm.room.member' || event.content['membership'] !== 'invite') return []
        const userId = parseUserId(event.stateKey ?? '')
        return userId !== undefined && isInterestedInUser(registration, userId) ? [userId] : []
      }),
    )
    for (const userId of invited) {
      if (!(await users.exists(db.reader, userId))) await queries.hasUser(userId)
    }
  }

  /** For invitations of the service's users: what the room is, for who is not in it. By nid of the event. */
  async #inviteStates(
    registration: AppserviceRegistration,
    events: readonly StoredEvent[],
  ): Promise<Map<number, JsonObject[]>> {
    const invites = events.filter(
      ({ event }) =>
        event.type === 'm.room.member' &&
        event.content['membership'] === 'invite' &&
        isInterestedInUser(registration, event.stateKey ?? ''),
    )
    return this.#deps.prejoin.ofMembers(this.#deps.db.reader, invites)
  }

  async #passing(registration: AppserviceRegistration, from: StreamHeads, heads: StreamHeads) {
    const { ephemeral } = this.#deps
    const range = (name: keyof StreamHeads) => ({ after: from[name], upTo: heads[name] })
    const receipts = await ephemeral.listReceipts(registration, range('receipts'))
    const presence = await ephemeral.listPresence(registration, range('presence'))
    const typing = await ephemeral.listTyping(registration, range('typing'))
    const messages = await ephemeral.listMessages(registration, range('toDevice'))
    const all = [...typing, ...receipts.items, ...presence]
    const toDevice = messages.items.map(({ userId, deviceId, sender, type, content }) => ({
      type,
      sender,
      content,
      to_user_id: userId,
      to_device_id: deviceId,
    }))
    const parts: JsonObject = {
      // Under both names: services of before version 1.13 look for the second.
      ...(all.length > 0 && { ephemeral: all, 'de.sorunome.msc2409.ephemeral': all }),
      ...(toDevice.length > 0 && { to_device: toDevice, 'de.sorunome.msc2409.to_device': toDevice }),
    }
    return { parts, messages: messages.items, receipts: receipts.upTo, toDevice: messages.upTo }
  }

  /** https://github.com/matrix-org/matrix-spec-proposals/pull/3202 */
  async #devices(
    registration: AppserviceRegistration,
    given: {
      from: StreamHeads
      heads: StreamHeads
      events: readonly StoredEvent[]
      messages: readonly AppserviceMessage[]
    },
  ): Promise<JsonObject> {
    const { from, heads, events, messages } = given
    const { ephemeral } = this.#deps
    const range = { after: from.deviceLists, upTo: heads.deviceLists }
    const changed = await ephemeral.listChangedDevices(registration, range)
    const left = await ephemeral.listParted(registration, events)
    const named = [
      ...messages.map(({ userId }) => userId),
      ...events.map(({ event }) => event.sender),
      ...events.flatMap(({ event }) =>
        event.type === 'm.room.member' && event.stateKey !== undefined ? [event.stateKey as UserId] : [],
      ),
    ]
    const own = [...new Set(named)].filter((userId) => isInterestedInUser(registration, userId))
    return {
      ...(changed.length + left.length > 0 && { 'org.matrix.msc3202.device_lists': { changed, left } }),
      ...(await ephemeral.countKeys(own)),
    }
  }
}

/** With `user_id`, as services of before 2019 know the sender. */
function toServiceEvent(
  { event }: StoredEvent,
  json: JsonObject,
  inviteState: JsonObject[] | undefined,
): JsonObject {
  const unsigned = json['unsigned'] as JsonObject
  return {
    ...json,
    user_id: event.sender,
    unsigned: inviteState === undefined ? unsigned : { ...unsigned, invite_room_state: inviteState },
  }
}
