import { authEventKeys } from '../../src/protocol/auth-events.js'
import type { Event } from '../../src/protocol/event.js'
import { buildEvent, type EventReference } from '../../src/protocol/event-builder.js'
import { parseEvent } from '../../src/protocol/event-format.js'
import { referenceHash } from '../../src/protocol/hashes.js'
import type { EventId, RoomId, UserId } from '../../src/protocol/ids.js'
import { pduJson, toTemplate } from '../../src/protocol/pdu.js'
import type { RoomVersionRules } from '../../src/protocol/room-versions.js'
import { stateKeyOf, type StateKey } from '../../src/protocol/state-map.js'
import type { JsonObject } from '../../src/util/json.js'
import { rulesOf } from './auth-room.js'
import type { FakeAnswer, FakeHomeserver } from './fake-homeserver.js'

export interface LinearDraft {
  readonly type: string
  /** The localpart of a user of the fake server, or a whole user ID. */
  readonly sender?: string
  readonly stateKey?: string
  readonly content?: JsonObject
}

/** What the answers to others say besides, or instead. */
export interface LinearRoomTricks {
  /** Answers to `omit_members=true` without members. */
  readonly omitsMembers?: boolean
  /** Runs when a join is in the room, before that is answered. */
  readonly beforeJoined?: () => Promise<void>
  /** Changes the answer to a join. */
  readonly answerJoin?: (answer: JsonObject) => JsonObject
  /** Runs before the state is told. */
  readonly beforeState?: () => Promise<void>
}

/**
 * A room on a fake server whose graph has no branches, so that it may be large: it makes its events and answers
 * handshakes and questions for state and events. All its users are of that server.
 */
export class LinearRoom {
  readonly fake: FakeHomeserver
  readonly rules: RoomVersionRules
  readonly roomId: RoomId
  readonly creator: UserId
  /** In the order in which they came. */
  readonly events: Event[] = []
  readonly state = new Map<StateKey, Event>()
  readonly #byId = new Map<EventId, Event>()

  constructor(fake: FakeHomeserver, version: string, options: { joinRule?: string } = {}) {
    this.fake = fake
    this.rules = rulesOf(version)
    this.creator = this.user('charlie')
    const create = this.#build({
      type: 'm.room.create',
      stateKey: '',
      content: { room_version: version, ...(!this.rules.implicitCreator && { creator: this.creator }) },
    })
    this.roomId = create.roomId
    this.take(create)
    const users = this.rules.privilegedCreators ? {} : { [this.creator]: 100 }
    this.join('charlie')
    this.add({ type: 'm.room.power_levels', stateKey: '', content: { users } })
    this.add({
      type: 'm.room.join_rules',
      stateKey: '',
      content: { join_rule: options.joinRule ?? 'public' },
    })
    this.add({ type: 'm.room.history_visibility', stateKey: '', content: { history_visibility: 'shared' } })
  }

  user(localpart: string): UserId {
    return (localpart.startsWith('@') ? localpart : `@${localpart}:${this.fake.serverName}`) as UserId
  }

  /** Makes an event at the end of the room, without adding it. */
  build(draft: LinearDraft): Event {
    return this.#build(draft)
  }

  /** Makes an event and adds it. */
  add(draft: LinearDraft): Event {
    return this.take(this.#build(draft))
  }

  join(localpart: string): Event {
    const sender = this.user(localpart)
    return this.add({ type: 'm.room.member', sender, stateKey: sender, content: { membership: 'join' } })
  }

  /** Adds an event that was made elsewhere. */
  take(event: Event): Event {
    this.events.push(event)
    this.#byId.set(event.eventId, event)
    if (event.stateKey !== undefined) this.state.set(stateKeyOf(event.type, event.stateKey), event)
    return event
  }

  /** Sends the newest event to another server. */
  async tell(to: string, events: readonly Event[] = this.events.slice(-1)): Promise<void> {
    await this.fake.sendTransaction(to, { pdus: events.map(pduJson) })
  }

  member(userId: string): string | undefined {
    const membership = this.state.get(stateKeyOf('m.room.member', userId))?.content['membership']
    return typeof membership === 'string' ? membership : undefined
  }

  /** All events that authorize these, and those that authorize them. */
  authChain(events: readonly Event[]): Event[] {
    const chain = new Map<EventId, Event>()
    const open = [...events]
    for (let event = open.pop(); event; event = open.pop()) {
      for (const id of event.authEventIds) {
        const cited = this.#byId.get(id)
        if (!cited || chain.has(id)) continue
        chain.set(id, cited)
        open.push(cited)
      }
    }
    return [...chain.values()]
  }

  /** Answers what others ask of the room; events of theirs are added to it. */
  serve(tricks: LinearRoomTricks = {}): void {
    const { fake } = this
    const ofRoom =
      (
        answer: (
          params: Readonly<Record<string, string>>,
          query: URLSearchParams,
          body: unknown,
        ) => JsonObject,
      ) =>
      ({
        params,
        query,
        body,
      }: {
        params: Readonly<Record<string, string>>
        query: URLSearchParams
        body: unknown
      }): FakeAnswer => {
        if (params['roomId'] !== this.roomId) {
          return { status: 404, json: { errcode: 'M_NOT_FOUND', error: 'Unknown room' } }
        }
        return { json: answer(params, query, body) }
      }
    for (const membership of ['join', 'leave', 'knock']) {
      fake.on(
        'GET',
        `/_matrix/federation/v1/make_${membership}/:roomId/:userId`,
        ofRoom(({ userId }) => ({
          room_version: this.rules.version,
          event: toTemplate(
            this.#build({
              type: 'm.room.member',
              sender: userId!,
              stateKey: userId!,
              content: { membership },
            }),
          ),
        })),
      )
    }
    const joined = ofRoom((_params, query, body) => {
      const answer = this.#joinAnswer(parseEvent(this.rules, body as JsonObject), {
        omitsMembers: tricks.omitsMembers === true && query.get('omit_members') === 'true',
      })
      return tricks.answerJoin?.(answer) ?? answer
    })
    fake.on('PUT', '/_matrix/federation/v2/send_join/:roomId/:eventId', async (request) => {
      const answer = joined(request)
      await tricks.beforeJoined?.()
      return answer
    })
    fake.on(
      'PUT',
      '/_matrix/federation/v2/send_leave/:roomId/:eventId',
      ofRoom((_params, _query, body) => {
        this.take(parseEvent(this.rules, body as JsonObject))
        return {}
      }),
    )
    fake.on('GET', '/_matrix/federation/v1/event/:eventId', ({ params }) => {
      const event = this.#byId.get(params['eventId'] as EventId)
      if (!event) return { status: 404, json: { errcode: 'M_NOT_FOUND', error: 'Unknown event' } }
      return { json: { origin: fake.serverName, origin_server_ts: 1, pdus: [pduJson(event)] } }
    })
    fake.on(
      'GET',
      '/_matrix/federation/v1/event_auth/:roomId/:eventId',
      ofRoom(({ eventId }) => {
        const event = this.#byId.get(eventId as EventId)
        return { auth_chain: this.authChain(event ? [event] : []).map(pduJson) }
      }),
    )
    fake.on('GET', '/_matrix/federation/v1/state_ids/:roomId', async ({ query }) => {
      await tricks.beforeState?.()
      return { json: this.stateIds(query.get('event_id')) }
    })
    fake.on('GET', '/_matrix/federation/v1/state/:roomId', async ({ query }) => {
      await tricks.beforeState?.()
      const state = this.#stateBefore(query.get('event_id'))
      return { json: { pdus: state.map(pduJson), auth_chain: this.authChain(state).map(pduJson) } }
    })
  }

  /** The answer to `/state_ids`. */
  stateIds(eventId: string | null): JsonObject {
    const state = this.#stateBefore(eventId)
    return {
      pdu_ids: state.map((event) => event.eventId),
      auth_chain_ids: this.authChain(state).map((event) => event.eventId),
    }
  }

  #joinAnswer(join: Event, { omitsMembers }: { omitsMembers: boolean }): JsonObject {
    const all = [...this.state.values()]
    const state = omitsMembers ? all.filter(({ type }) => type !== 'm.room.member') : all
    this.take(join)
    const chain = this.authChain([...state, join]).filter((event) => !omitsMembers || !state.includes(event))
    return {
      event: pduJson(join),
      state: state.map(pduJson),
      auth_chain: chain.map(pduJson),
      members_omitted: omitsMembers,
      ...(omitsMembers && { servers_in_room: [this.fake.serverName] }),
    }
  }

  #stateBefore(eventId: string | null): Event[] {
    const state = new Map<StateKey, Event>()
    for (const event of this.events) {
      if (event.eventId === eventId) return [...state.values()]
      if (event.stateKey !== undefined) state.set(stateKeyOf(event.type, event.stateKey), event)
    }
    return []
  }

  #build({ type, sender = this.creator, stateKey, content = {} }: LinearDraft): Event {
    const last = this.events.at(-1)
    const keys = authEventKeys(this.rules, { type, sender: this.user(sender), stateKey, content })
    const authEvents = keys.flatMap(([authType, key]) => this.state.get(stateKeyOf(authType, key)) ?? [])
    return buildEvent(
      this.rules,
      {
        ...(type === 'm.room.create' && this.rules.roomIdIsCreateHash
          ? {}
          : {
              roomId:
                this.events[0]?.roomId ?? (`!room${roomNumber(this)}:${this.fake.serverName}` as RoomId),
            }),
        type,
        sender: this.user(sender),
        ...(stateKey !== undefined && { stateKey }),
        content,
        prevEvents: last ? [this.#reference(last)] : [],
        authEvents: authEvents.map((event) => this.#reference(event)),
        depth: this.events.length + 1,
        originServerTs: Date.now(),
      },
      this.fake.signer,
    )
  }

  #reference(event: Event): EventReference {
    const { eventId } = event
    return this.rules.eventIdFormat === 'v1' ? { eventId, sha256: referenceHash(event) } : { eventId }
  }
}

/** The room's ID where it is no hash: another for each room. */
function roomNumber({ fake }: LinearRoom): number {
  const made = numbers.get(fake) ?? 0
  numbers.set(fake, made + 1)
  return made
}

const numbers = new WeakMap<FakeHomeserver, number>()
