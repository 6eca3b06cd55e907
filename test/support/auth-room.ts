import { checkEventAuth } from '../../src/protocol/event-auth.js'
import type { AuthVerdict } from '../../src/protocol/auth-verdict.js'
import { Event, type PduJson } from '../../src/protocol/event.js'
import type { EventId, RoomId } from '../../src/protocol/ids.js'
import { getRoomVersionRules, type RoomVersionRules } from '../../src/protocol/room-versions.js'
import { stateKeyOf, type AuthState } from '../../src/protocol/state-map.js'
import type { JsonObject, JsonValue } from '../../src/util/json.js'

/** The parts of an event that a test is about. */
export interface PlainEvent {
  readonly type: string
  readonly sender: string
  readonly stateKey?: string
  readonly content?: JsonObject
  readonly eventId?: string
  readonly roomId?: string
  readonly prevEvents?: readonly string[]
  readonly authEvents?: readonly string[]
  readonly depth?: number
  readonly originServerTs?: number
  readonly redacts?: string
  readonly signatures?: Record<string, Record<string, string>>
}

/** An event with whatever ID a test likes: neither hashed nor signed. */
export function plainEvent(rules: RoomVersionRules, plain: PlainEvent): Event {
  const isCreate = plain.type === 'm.room.create'
  const roomId = plain.roomId ?? roomIdFor(rules)
  const json: PduJson = {
    type: plain.type,
    sender: plain.sender,
    ...(rules.roomIdIsCreateHash && isCreate ? {} : { room_id: roomId }),
    ...(plain.stateKey !== undefined && { state_key: plain.stateKey }),
    content: { ...plain.content },
    origin_server_ts: plain.originServerTs ?? 1,
    depth: plain.depth ?? 1,
    prev_events: references(rules, plain.prevEvents),
    auth_events: references(rules, plain.authEvents),
    hashes: { sha256: '' },
    signatures: plain.signatures ?? {},
  }
  if (plain.redacts !== undefined) {
    if (rules.redactsInContent) json.content['redacts'] = plain.redacts
    else json.redacts = plain.redacts
  }
  const eventId = plain.eventId ?? (isCreate ? CREATE_ID : '$event:example.org')
  return new Event(rules, json, { eventId: eventId as EventId, roomId: roomId as RoomId })
}

function references(rules: RoomVersionRules, ids: readonly string[] = []): JsonValue[] {
  return ids.map((id) => (rules.eventIdFormat === 'v1' ? [id, {}] : id))
}

const CREATE_ID = '$create:example.org'

function roomIdFor(rules: RoomVersionRules): string {
  return rules.roomIdIsCreateHash ? `!${CREATE_ID.slice(1)}` : '!room:example.org'
}

export function rulesOf(version: string): RoomVersionRules {
  const rules = getRoomVersionRules(version)
  if (!rules) throw new Error(`There is no room version ${version}`)
  return rules
}

/** A room's state in the words of tests. */
export interface AuthRoomOptions {
  readonly creator?: string
  readonly createContent?: JsonObject
  readonly members?: Readonly<Record<string, string>>
  readonly joinRule?: JsonValue
  readonly levels?: JsonObject
  readonly further?: readonly PlainEvent[]
}

/** A state to judge events against. Without power levels unless they are given. */
export class AuthRoom {
  readonly rules: RoomVersionRules
  readonly create: Event
  readonly state: AuthState

  constructor(version: string, options: AuthRoomOptions = {}) {
    const creator = options.creator ?? '@creator:example.org'
    this.rules = rulesOf(version)
    this.create = plainEvent(this.rules, {
      type: 'm.room.create',
      sender: creator,
      stateKey: '',
      content: {
        room_version: version,
        ...(!this.rules.implicitCreator && { creator }),
        ...options.createContent,
      },
    })
    const events = new Map([[stateKeyOf('m.room.create', ''), this.create]])
    const add = (plain: PlainEvent): void => {
      events.set(stateKeyOf(plain.type, plain.stateKey ?? ''), plainEvent(this.rules, plain))
    }
    for (const [userId, membership] of Object.entries(options.members ?? {})) {
      add({ type: 'm.room.member', sender: userId, stateKey: userId, content: { membership } })
    }
    if (options.joinRule !== undefined) {
      const content = { join_rule: options.joinRule }
      add({ type: 'm.room.join_rules', sender: creator, stateKey: '', content })
    }
    if (options.levels) {
      add({ type: 'm.room.power_levels', sender: creator, stateKey: '', content: options.levels })
    }
    for (const plain of options.further ?? []) add(plain)
    this.state = { get: (type, stateKey) => events.get(stateKeyOf(type, stateKey)) }
  }

  check(plain: PlainEvent): AuthVerdict {
    return checkEventAuth(this.rules, plainEvent(this.rules, plain), this.state)
  }

  /** `allowed`, or the number of the rule that refused. */
  verdict(plain: PlainEvent): string {
    const verdict = this.check(plain)
    return verdict.allowed ? 'allowed' : verdict.rule
  }
}

/** Every room version from one to another. */
export function versions(first: number, last: number): string[] {
  return Array.from({ length: last - first + 1 }, (_, index) => String(first + index))
}
