import { authEventKeys } from '../../src/protocol/auth-events.js'
import type { Event, PduJson } from '../../src/protocol/event.js'
import { buildEvent, type EventReference } from '../../src/protocol/event-builder.js'
import { parseEvent } from '../../src/protocol/event-format.js'
import { contentHash, essentialText, referenceHash } from '../../src/protocol/hashes.js'
import type { EventId, RoomId, UserId } from '../../src/protocol/ids.js'
import type { JsonSigner } from '../../src/protocol/signed-json.js'
import type { RoomVersionRules } from '../../src/protocol/room-versions.js'
import { stateKeyOf, type StateKey, type StateMap } from '../../src/protocol/state-map.js'
import { isJsonObject, type JsonObject } from '../../src/util/json.js'
import { rulesOf } from './auth-room.js'
import type { FakeHomeserver, FakeReply, ReceivedRequest } from './fake-homeserver.js'
import { authChain, resolveNaively } from './naive-state-resolution.js'

/** What somebody says in a room of a fake server. */
export interface FakeDraft {
  readonly type: string
  readonly sender: string
  readonly stateKey?: string
  readonly content?: JsonObject
  readonly ts?: number
  readonly stickyMs?: number
  /** After these; by default after all ends of the room. */
  readonly after?: readonly Event[]
  /** In place of what the selection says. */
  readonly authEvents?: readonly Event[]
  readonly signer?: JsonSigner
}

/** A room as a fake server has it: what it was told, what it makes up, and what it tells others of that. */
export class FakeRoom {
  readonly fake: FakeHomeserver
  readonly rules: RoomVersionRules
  readonly roomId: RoomId
  readonly events = new Map<EventId, Event>()
  /** The state after each event. */
  readonly states = new Map<EventId, StateMap>()
  /** Events that are made, but not told of. */
  ends: Event[] = []
  #ts = Date.now()

  private constructor(fake: FakeHomeserver, version: string, roomId: RoomId) {
    this.fake = fake
    this.rules = rulesOf(version)
    this.roomId = roomId
  }

  /** A public room that a user of the fake server has made. */
  static create(fake: FakeHomeserver, version: string, creator: string, levels: JsonObject = {}): FakeRoom {
    const rules = rulesOf(version)
    const create = {
      type: 'm.room.create',
      sender: creator as UserId,
      stateKey: '',
      content: { room_version: version, ...(!rules.implicitCreator && { creator }) },
      prevEvents: [],
      authEvents: [],
      depth: 1,
      originServerTs: Date.now(),
    }
    const roomId = `!${Math.random().toString(36).slice(2)}:${fake.serverName}` as RoomId
    const event = buildEvent(rules, { ...create, ...(!rules.roomIdIsCreateHash && { roomId }) }, fake.signer)
    const room = new FakeRoom(fake, version, event.roomId)
    room.add(event)
    room.send({ type: 'm.room.member', sender: creator, stateKey: creator, content: { membership: 'join' } })
    const users = rules.privilegedCreators ? {} : { [creator]: 100 }
    room.send({ type: 'm.room.power_levels', sender: creator, stateKey: '', content: { users, ...levels } })
    room.send({ type: 'm.room.join_rules', sender: creator, stateKey: '', content: { join_rule: 'public' } })
    return room
  }

  /** A room of a real server that a user of the fake one joins. */
  static async join(
    fake: FakeHomeserver,
    server: string,
    { roomId, version, userId }: { roomId: string; version: string; userId: string },
  ): Promise<FakeRoom> {
    const room = new FakeRoom(fake, version, roomId as RoomId)
    await room.joinThrough(server, userId)
    return room
  }

  /** Another join through a real server, whose state counts from then on. */
  async joinThrough(server: string, userId: string): Promise<Event> {
    const [roomId, user] = [encodeURIComponent(this.roomId), encodeURIComponent(userId)]
    const template = await this.fake.send(server, {
      path: `/_matrix/federation/v1/make_join/${roomId}/${user}?ver=${this.rules.version}`,
    })
    const event = this.#fromTemplate(mustBe(template, 200).json['event'] as JsonObject)
    const answer = await this.fake.send(server, {
      method: 'PUT',
      path: `/_matrix/federation/v2/send_join/${roomId}/${encodeURIComponent(event.eventId)}`,
      body: event.json as JsonObject,
    })
    const { state, auth_chain: chain } = mustBe(answer, 200).json
    const before = this.#learn(state as JsonObject[])
    this.#learn(chain as JsonObject[])
    this.events.set(event.eventId, event)
    this.states.set(
      event.eventId,
      applied(new Map(before.map((other) => [keyOf(other), other.eventId])), event),
    )
    this.ends = [event]
    return event
  }

  /** The state at the ends. */
  get state(): StateMap {
    return this.stateAfter(this.ends)
  }

  stateAfter(events: readonly Event[]): StateMap {
    const states = events.flatMap(({ eventId }) => this.states.get(eventId) ?? [])
    const [first = new Map<StateKey, EventId>(), ...others] = states
    return others.length === 0 ? first : resolveNaively(this.rules, states, this.events)
  }

  stateBefore(event: Event): StateMap {
    return this.stateAfter(event.prevEventIds.flatMap((id) => this.events.get(id) ?? []))
  }

  /** The current event of a piece of state. */
  current(type: string, stateKey = ''): Event {
    return this.events.get(this.state.get(stateKeyOf(type, stateKey))!)!
  }

  /** An event that nobody knows of yet. */
  make(draft: FakeDraft): Event {
    const { type, sender, stateKey, content = {}, after = this.ends } = draft
    const state = this.stateAfter(after)
    const authEvents =
      draft.authEvents ??
      authEventKeys(this.rules, { type, sender, stateKey, content }).flatMap(([of, key]) => {
        const id = state.get(stateKeyOf(of, key))
        return id === undefined ? [] : (this.events.get(id) ?? [])
      })
    const event = buildEvent(
      this.rules,
      {
        roomId: this.roomId,
        type,
        sender: sender as UserId,
        ...(stateKey !== undefined && { stateKey }),
        content,
        prevEvents: after.map(toReference),
        authEvents: authEvents.map(toReference),
        depth: Math.max(0, ...after.map(({ depth }) => depth)) + 1,
        originServerTs: draft.ts ?? this.#nextTs(),
        // Invitations say where they come from.
        origin: content['membership'] === 'invite' ? this.fake.serverName : undefined,
        ...(draft.stickyMs !== undefined && { stickyMs: draft.stickyMs }),
      },
      draft.signer ?? this.fake.signer,
    )
    this.events.set(event.eventId, event)
    this.states.set(event.eventId, applied(state, event))
    return event
  }

  /** Makes events an end of the room, in place of those that they follow. */
  add(...events: readonly Event[]): void {
    for (const event of events) {
      this.events.set(event.eventId, event)
      if (!this.states.has(event.eventId)) {
        this.states.set(event.eventId, applied(this.stateBefore(event), event))
      }
      this.ends = [...this.ends.filter(({ eventId }) => !event.prevEventIds.includes(eventId)), event]
    }
  }

  send(draft: FakeDraft): Event {
    const event = this.make(draft)
    this.add(event)
    return event
  }

  /** Takes in events that a real server has sent, in its order. */
  learn(...pdus: readonly JsonObject[]): void {
    const events = pdus.map((pdu) => parseEvent(this.rules, pdu))
    this.add(...events.filter(({ eventId }) => !this.states.has(eventId)).sort((a, b) => a.depth - b.depth))
  }

  /** Messages, each after the one before. */
  say(sender: string, ...texts: readonly string[]): Event[] {
    return texts.map((body) =>
      this.send({ type: 'm.room.message', sender, content: { msgtype: 'm.text', body } }),
    )
  }

  /** Sends events to a real server, and gives what it says of each. */
  async tell(server: string, ...events: readonly Event[]): Promise<JsonObject> {
    const reply = await this.fake.sendTransaction(server, { pdus: events.map(toJson) })
    return mustBe(reply, 200).json['pdus'] as JsonObject
  }

  /** All that authorizes an event. */
  authChainOf(event: Event): Event[] {
    return [...authChain(event.eventId, this.events)].flatMap((id) => this.events.get(id) ?? [])
  }

  /** Answers everything that other servers may ask of the room, as a good server would. */
  serve(): this {
    const { fake } = this
    const v1 = '/_matrix/federation/v1'
    const named = ({ params }: ReceivedRequest): Event | undefined =>
      this.events.get(params['eventId'] as EventId)
    const NOT_FOUND = { status: 404, json: { errcode: 'M_NOT_FOUND', error: 'Not found' } }
    fake.on('GET', `${v1}/event/:eventId`, (request) => {
      const event = named(request)
      return event ? { json: { pdus: [toJson(event)] } } : NOT_FOUND
    })
    fake.on('GET', `${v1}/event_auth/:roomId/:eventId`, (request) => {
      const event = named(request)
      return event ? { json: { auth_chain: this.authChainOf(event).map(toJson) } } : NOT_FOUND
    })
    fake.on('GET', `${v1}/state_ids/:roomId`, ({ query }) => {
      const { state, chain } = this.#stateAt(query.get('event_id') as EventId)
      return { json: { pdu_ids: state.map(toId), auth_chain_ids: chain.map(toId) } }
    })
    fake.on('GET', `${v1}/state/:roomId`, ({ query }) => {
      const { state, chain } = this.#stateAt(query.get('event_id') as EventId)
      return { json: { pdus: state.map(toJson), auth_chain: chain.map(toJson) } }
    })
    fake.on('POST', `${v1}/get_missing_events/:roomId`, ({ body }) => {
      const { latest_events: latest, earliest_events: earliest, limit } = body as Record<string, EventId[]>
      const from = latest!.flatMap((id) => this.events.get(id)?.prevEventIds ?? [])
      return { json: { events: this.#walk(from, Number(limit), new Set(earliest)).reverse().map(toJson) } }
    })
    fake.on('GET', `${v1}/backfill/:roomId`, ({ query }) => ({
      json: { pdus: this.#walk(query.getAll('v') as EventId[], Number(query.get('limit'))).map(toJson) },
    }))
    this.#serveJoins()
    return this
  }

  #serveJoins(): void {
    this.fake.on('GET', '/_matrix/federation/v1/make_join/:roomId/:userId', ({ params }) => {
      const sender = params['userId']!
      const draft = { type: 'm.room.member', sender, stateKey: sender, content: { membership: 'join' } }
      const event = this.make(draft)
      this.events.delete(event.eventId)
      const { hashes: _hashes, signatures: _signatures, event_id: _id, ...template } = toJson(event)
      return { json: { room_version: this.rules.version, event: template } }
    })
    this.fake.on('PUT', '/_matrix/federation/v2/send_join/:roomId/:eventId', ({ body }) => {
      const event = parseEvent(this.rules, body as JsonObject)
      const state = [...this.stateBefore(event).values()].map((id) => this.events.get(id)!)
      const chain = new Map(
        state.flatMap((other) => this.authChainOf(other).map((one) => [one.eventId, one])),
      )
      this.add(event)
      return {
        json: {
          origin: this.fake.serverName,
          state: state.map(toJson),
          auth_chain: [...chain.values()].map(toJson),
          event: toJson(event),
          members_omitted: false,
          servers_in_room: [this.fake.serverName],
        },
      }
    })
  }

  #stateAt(eventId: EventId): { state: Event[]; chain: Event[] } {
    const event = this.events.get(eventId)
    const state = event ? [...this.stateBefore(event).values()].map((id) => this.events.get(id)!) : []
    const chain = new Map(state.flatMap((other) => this.authChainOf(other).map((one) => [one.eventId, one])))
    return { state, chain: [...chain.values()] }
  }

  /** Deepest first. */
  #walk(from: readonly EventId[], limit: number, until: ReadonlySet<EventId> = new Set()): Event[] {
    const found = new Map<EventId, Event>()
    let frontier = [...from]
    while (frontier.length > 0) {
      const next: EventId[] = []
      for (const id of frontier) {
        const event = this.events.get(id)
        if (!event || until.has(id) || found.has(id)) continue
        found.set(id, event)
        next.push(...event.prevEventIds)
      }
      frontier = next
    }
    return [...found.values()].sort((a, b) => b.depth - a.depth).slice(0, limit)
  }

  #fromTemplate(template: JsonObject): Event {
    const ids = (list: unknown): EventReference[] =>
      (list as (string | [string, { sha256: string }])[]).map((reference) =>
        typeof reference === 'string'
          ? { eventId: reference as EventId }
          : { eventId: reference[0] as EventId, sha256: reference[1].sha256 },
      )
    return buildEvent(
      this.rules,
      {
        roomId: this.roomId,
        type: 'm.room.member',
        sender: template['sender'] as UserId,
        stateKey: template['state_key'] as string,
        content: template['content'] as JsonObject,
        prevEvents: ids(template['prev_events']),
        authEvents: ids(template['auth_events']),
        depth: template['depth'] as number,
        originServerTs: this.#nextTs(),
      },
      this.fake.signer,
    )
  }

  /** Later than all before. */
  #nextTs(): number {
    this.#ts = Math.max(this.#ts + 1, Date.now())
    return this.#ts
  }

  #learn(pdus: readonly JsonObject[]): Event[] {
    const events = pdus.map((pdu) => parseEvent(this.rules, pdu))
    for (const event of events) this.events.set(event.eventId, event)
    return events
  }
}

/** An event as nobody should make it: whatever the JSON says is hashed and signed. */
export function forge(rules: RoomVersionRules, json: JsonObject, signer: JsonSigner): Event {
  const { hashes: _hashes, signatures: _signatures, event_id: _eventId, ...rest } = json
  const forged = {
    ...rest,
    ...(rules.eventIdFormat === 'v1' && { event_id: `$${Math.random()}:${signer.serverName}` }),
  } as unknown as PduJson
  forged.hashes = { sha256: contentHash(forged) }
  const signature = signer.sign(essentialText(rules, forged))
  return parseEvent(rules, {
    ...forged,
    signatures: { [signer.serverName]: { [signer.keyId]: signature } },
  })
}

export function toJson(event: Event): JsonObject {
  return event.json as PduJson & JsonObject
}

function toId({ eventId }: Event): string {
  return eventId
}

function toReference(event: Event): EventReference {
  return { eventId: event.eventId, sha256: referenceHash(event) }
}

function keyOf({ type, stateKey = '' }: Event): StateKey {
  return stateKeyOf(type, stateKey)
}

function applied(state: StateMap, event: Event): StateMap {
  return event.isState() ? new Map(state).set(keyOf(event), event.eventId) : state
}

function mustBe(reply: FakeReply, status: number): FakeReply {
  if (reply.status !== status) throw new Error(`${reply.status}: ${reply.text}`)
  if (!isJsonObject(reply.json)) throw new Error('The answer is no JSON object')
  return reply
}
