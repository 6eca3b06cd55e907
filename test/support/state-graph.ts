import { createHash } from 'node:crypto'
import { authEventKeys } from '../../src/protocol/auth-events.js'
import { checkEventAuth } from '../../src/protocol/event-auth.js'
import type { Event } from '../../src/protocol/event.js'
import type { EventId } from '../../src/protocol/ids.js'
import type { RoomVersionRules } from '../../src/protocol/room-versions.js'
import { stateKeyOf, type StateKey, type StateMap } from '../../src/protocol/state-map.js'
import { plainEvent, rulesOf, type PlainEvent } from './auth-room.js'
import { resolveNaively } from './naive-state-resolution.js'

/** An event of a graph, and the state of the room after it. */
export interface GraphNode {
  readonly event: Event
  readonly stateAfter: StateMap
}

/** A room's graph of events in memory; where branches meet, the state comes from the naive resolution. */
export class StateGraph {
  readonly rules: RoomVersionRules
  readonly nodes: GraphNode[] = []
  readonly #events = new Map<EventId, Event>()
  readonly #roomId: string

  constructor(version: string, creator: string) {
    this.rules = rulesOf(version)
    const id = `$${createHash('sha256').update('create').digest('base64url')}`
    this.#roomId = this.rules.roomIdIsCreateHash ? `!${id.slice(1)}` : '!room:example.org'
    const create = plainEvent(this.rules, {
      type: 'm.room.create',
      sender: creator,
      stateKey: '',
      content: { room_version: version, ...(!this.rules.implicitCreator && { creator }) },
      eventId: id,
      roomId: this.#roomId,
      depth: 1,
    })
    this.#add(create, new Map())
  }

  get events(): ReadonlyMap<EventId, Event> {
    return this.#events
  }

  /** Adds an event after others (the newest, where none are named). Undefined where the rules refuse it. */
  send(plain: PlainEvent, after: readonly GraphNode[] = [this.nodes.at(-1)!]): GraphNode | undefined {
    const before = this.stateAt(after)
    const draft = { content: {}, ...plain }
    const held = authEventKeys(this.rules, draft).flatMap(
      ([type, key]) => before.get(stateKeyOf(type, key)) ?? [],
    )
    const depth = Math.max(...after.map(({ event }) => event.depth)) + 1
    const hash = createHash('sha256').update(`${this.nodes.length}`).digest('base64url')
    const event = plainEvent(this.rules, {
      depth,
      eventId: this.rules.eventIdFormat === 'v1' ? `$${hash}:example.org` : `$${hash}`,
      roomId: this.#roomId,
      prevEvents: after.map((node) => node.event.eventId),
      authEvents: held,
      ...plain,
    })
    const verdict = checkEventAuth(this.rules, event, {
      get: (type, key) => {
        const id = before.get(stateKeyOf(type, key))
        return id === undefined ? undefined : this.#events.get(id)
      },
    })
    return verdict.allowed ? this.#add(event, before) : undefined
  }

  stateAt(after: readonly GraphNode[]): StateMap {
    const states = after.map((node) => node.stateAfter)
    return states.length === 1 ? states[0]! : resolveNaively(this.rules, states, this.#events)
  }

  #add(event: Event, before: StateMap): GraphNode {
    const stateAfter = new Map<StateKey, EventId>(before)
    if (event.stateKey !== undefined) stateAfter.set(stateKeyOf(event.type, event.stateKey), event.eventId)
    const node = { event, stateAfter }
    this.nodes.push(node)
    this.#events.set(event.eventId, event)
    return node
  }
}
