import { authEventKeys } from '../../src/protocol/auth-events.js'
import { buildEvent } from '../../src/protocol/event-builder.js'
import { parseEvent } from '../../src/protocol/event-format.js'
import type { Event } from '../../src/protocol/event.js'
import type { EventId, RoomId, UserId } from '../../src/protocol/ids.js'
import { getRoomVersionRules } from '../../src/protocol/room-versions.js'
import { stateKeyOf, type StateKey } from '../../src/protocol/state-map.js'
import type { JsonObject } from '../../src/util/json.js'
import type { Peer, PeerHandler, PeerRequest } from './peer.js'

const VERSION = '11'
const RULES = getRoomVersionRules(VERSION)!
/** Events are as old as this and come at this distance. */
const BEGIN_TS = Date.now() - 24 * 60 * 60_000
const STEP_MS = 10

/** A user of a peer. */
export interface Participant {
  readonly peer: Peer
  readonly userId: UserId
}

export interface Draft {
  readonly type: string
  readonly stateKey?: string
  readonly content: JsonObject
}

/** What is current in a room, by type and state key. */
type CurrentState = ReadonlyMap<StateKey, Event>

/** An end of a room and the state there: what is sent from here follows it. */
export class Branch {
  readonly roomId: RoomId
  readonly #state: Map<StateKey, Event>
  #ends: readonly Event[]

  constructor(roomId: RoomId, state: CurrentState, ends: readonly Event[]) {
    this.roomId = roomId
    this.#state = new Map(state)
    this.#ends = ends
  }

  get state(): CurrentState {
    return this.#state
  }

  get ends(): readonly Event[] {
    return this.#ends
  }

  /** Another that begins where this one is now. */
  fork(): Branch {
    return new Branch(this.roomId, this.#state, this.#ends)
  }

  /** The same with further ends beside its own; their state is left aside. */
  merge(others: readonly Event[]): Branch {
    return new Branch(this.roomId, this.#state, [...this.#ends, ...others])
  }

  get nextDepth(): number {
    return Math.max(0, ...this.#ends.map(({ depth }) => depth)) + 1
  }

  send({ peer, userId }: Participant, draft: Draft): Event {
    const depth = this.nextDepth
    const event = buildEvent(
      RULES,
      {
        ...draft,
        roomId: this.roomId,
        sender: userId,
        prevEvents: this.#ends.map(({ eventId }) => ({ eventId })),
        authEvents: this.authEventIds(userId, draft).map((eventId) => ({ eventId })),
        depth,
        originServerTs: BEGIN_TS + depth * STEP_MS,
      },
      peer.signer,
    )
    this.add(event)
    return event
  }

  /** Takes an event in as the only end. */
  add(event: Event): void {
    this.#ends = [event]
    if (event.stateKey !== undefined) this.#state.set(stateKeyOf(event.type, event.stateKey), event)
  }

  authEventIds(sender: UserId, { type, stateKey, content }: Draft): EventId[] {
    return authEventKeys(RULES, { type, sender, stateKey, content }).flatMap(
      ([of, key]) => this.#state.get(stateKeyOf(of, key))?.eventId ?? [],
    )
  }
}

/** A public room that lives on scripted servers: one straight line of events, all signed as they should be. */
export class ScriptedRoom {
  readonly roomId: RoomId
  readonly admins: readonly Participant[]
  /** Where the room is now. */
  readonly main: Branch
  /** In order; the end of it is what servers that join follow. */
  readonly #events: Event[] = []
  readonly #places = new Map<string, number>()
  readonly #servers = new Set<string>()
  #newest: Branch | undefined

  /** @param admins the creator first; all of them have power level 100 */
  constructor(name: string, admins: readonly [Participant, ...Participant[]]) {
    const [creator] = admins
    this.roomId = `!${name}:${creator.peer.serverName}` as RoomId
    this.admins = admins
    this.main = new Branch(this.roomId, new Map(), [])
    this.send(creator, { type: 'm.room.create', stateKey: '', content: { room_version: VERSION } })
    this.join(creator)
    const users = Object.fromEntries(admins.map(({ userId }) => [userId, 100]))
    this.send(creator, { type: 'm.room.power_levels', stateKey: '', content: { users } })
    this.send(creator, { type: 'm.room.join_rules', stateKey: '', content: { join_rule: 'public' } })
    this.send(creator, {
      type: 'm.room.history_visibility',
      stateKey: '',
      content: { history_visibility: 'shared' },
    })
    for (const admin of admins.slice(1)) this.join(admin)
  }

  get size(): number {
    return this.#events.length
  }

  send(sender: Participant, draft: Draft): Event {
    const event = this.main.send(sender, draft)
    this.#add(event)
    return event
  }

  join(member: Participant, displayname = member.userId.slice(1, 12)): Event {
    this.#servers.add(member.peer.serverName)
    return this.send(member, {
      type: 'm.room.member',
      stateKey: member.userId,
      content: { membership: 'join', displayname },
    })
  }

  say(sender: Participant): Event {
    return this.send(sender, { type: 'm.room.message', content: messageContent(this.size) })
  }

  /**
   * Answers what servers ask that come into the room. They do not learn of each other: each follows the room's end.
   * @param omitsMembers whether members are left out for those who want it
   */
  handler({ omitsMembers }: { readonly omitsMembers: boolean }): PeerHandler {
    return (request) => this.#handle(request, omitsMembers)
  }

  /** The room with the server in it that came last. */
  get joined(): Branch {
    if (this.#newest === undefined) throw new Error('Nobody has come into the room')
    return this.#newest
  }

  #add(event: Event): void {
    this.#places.set(event.eventId, this.#events.length)
    this.#events.push(event)
  }

  #handle(request: PeerRequest, omitsMembers: boolean): string | undefined {
    const [what, roomOrEvent = '', id = ''] = request.segments
    switch (what) {
      case 'make_join':
        return this.#makeJoin(id as UserId)
      case 'send_join':
        return this.#sendJoin(request, omitsMembers)
      case 'state_ids': {
        const { state, chain } = this.#stateBefore(request.query.get('event_id') ?? '')
        return JSON.stringify({ pdu_ids: state.map(idOf), auth_chain_ids: chain.map(idOf) })
      }
      case 'state': {
        const { state, chain } = this.#stateBefore(request.query.get('event_id') ?? '')
        return `{"pdus":${listText(state)},"auth_chain":${listText(chain)}}`
      }
      case 'event': {
        const event = this.#events[this.#places.get(roomOrEvent) ?? -1]
        return event && `{"pdus":${listText([event])}}`
      }
      case 'backfill':
        return `{"pdus":${listText(this.#before(request.query.getAll('v'), Number(request.query.get('limit'))))}}`
      case 'get_missing_events':
        return `{"events":${listText(this.#missing(request.body))}}`
      default:
        return undefined
    }
  }

  #makeJoin(userId: UserId): string {
    const draft = { type: 'm.room.member', stateKey: userId, content: { membership: 'join' } }
    const event = {
      type: draft.type,
      room_id: this.roomId,
      sender: userId,
      state_key: userId,
      content: draft.content,
      prev_events: this.main.ends.map(idOf),
      auth_events: this.main.authEventIds(userId, draft),
      depth: this.main.nextDepth,
      origin_server_ts: Date.now(),
    }
    return JSON.stringify({ room_version: VERSION, event })
  }

  #sendJoin({ body, query }: PeerRequest, omitsMembers: boolean): string {
    const join = parseEvent(RULES, JSON.parse(body) as JsonObject)
    const omits = omitsMembers && query.get('omit_members') === 'true'
    const whole = [...this.main.state.values()]
    const state = omits ? whole.filter(({ type }) => type !== 'm.room.member') : whole
    const chain = this.#authChain([...state, join])
    this.#newest = this.main.fork()
    this.#newest.add(join)
    const more = omits ? `,"servers_in_room":${JSON.stringify([...this.#servers])}` : ''
    return `{"members_omitted":${omits}${more},"state":${listText(state)},"auth_chain":${listText(chain)},"event":${body}}`
  }

  /** The state before an event of the room, which must be its end or come just before. */
  #stateBefore(eventId: string): { state: Event[]; chain: Event[] } {
    const place = this.#places.get(eventId)
    if (place === undefined) return { state: [], chain: [] }
    const byKey = new Map<StateKey, Event>()
    for (const event of this.#events.slice(0, place)) {
      if (event.stateKey !== undefined) byKey.set(stateKeyOf(event.type, event.stateKey), event)
    }
    const state = [...byKey.values()]
    return { state, chain: this.#authChain(state) }
  }

  #authChain(of: readonly Event[]): Event[] {
    const chain = new Map<EventId, Event>()
    const waiting = [...of]
    for (let event = waiting.pop(); event !== undefined; event = waiting.pop()) {
      for (const id of event.authEventIds) {
        const place = this.#places.get(id)
        if (place === undefined || chain.has(id)) continue
        chain.set(id, this.#events[place]!)
        waiting.push(this.#events[place]!)
      }
    }
    return [...chain.values()]
  }

  /** Up to and with these, newest first. */
  #before(ids: readonly string[], limit: number): Event[] {
    const end = Math.max(-1, ...ids.map((id) => this.#places.get(id) ?? -1)) + 1
    return this.#events.slice(Math.max(0, end - limit), end).reverse()
  }

  #missing(body: string): Event[] {
    const asked = JSON.parse(body) as {
      earliest_events: string[]
      latest_events: string[]
      limit: number
    }
    const end = Math.max(0, ...asked.latest_events.map((id) => this.#places.get(id) ?? 0))
    const known = Math.max(-1, ...asked.earliest_events.map((id) => this.#places.get(id) ?? -1))
    return this.#events.slice(Math.max(known + 1, end - asked.limit), end)
  }
}

/** What people write, of a typical length. */
export function messageContent(index: number): JsonObject {
  return { msgtype: 'm.text', body: `Message ${index} of a typical length, neither short nor long.` }
}

export function pduOf(event: Event): JsonObject {
  return event.json as JsonObject
}

function idOf({ eventId }: Event): string {
  return eventId
}

function listText(events: readonly Event[]): string {
  return `[${events.map((event) => JSON.stringify(event.json)).join(',')}]`
}
