import { isJsonObject, type JsonObject, type JsonValue } from '../util/json.js'
import { badJson, invalidParam } from './errors.js'
import { parseFieldPath, type FieldPath } from './event-fields.js'

/** What a filter looks at. Things without a sender or room leave them out. */
export interface FilterSubject {
  readonly type: string
  readonly sender?: string | undefined
  readonly roomId?: string | undefined
  readonly content?: JsonObject | undefined
}

/** Which rooms a filter lets through. */
export interface RoomSelection {
  readonly rooms: ReadonlySet<string> | undefined
  readonly notRooms: ReadonlySet<string>
}

/** A whole filter, ready for use. https://spec.matrix.org/latest/client-server-api/#filtering */
export interface Filter {
  /** Undefined: all fields. */
  readonly eventFields: readonly FieldPath[] | undefined
  readonly eventFormat: 'client' | 'federation'
  readonly presence: EventFilter
  readonly accountData: EventFilter
  readonly room: RoomFilter
}

export interface RoomFilter extends RoomSelection {
  readonly includeLeave: boolean
  readonly ephemeral: EventFilter
  readonly state: EventFilter
  readonly timeline: EventFilter
  readonly accountData: EventFilter
}

/** One part of a filter: for events of rooms, or for what has at most type and sender. */
export class EventFilter implements RoomSelection {
  /** As the client asks; undefined where it does not. */
  readonly limit: number | undefined
  /** `*` stands for any characters. Undefined: all types. */
  readonly types: readonly string[] | undefined
  readonly notTypes: readonly string[]
  readonly senders: ReadonlySet<string> | undefined
  readonly notSenders: ReadonlySet<string>
  readonly rooms: ReadonlySet<string> | undefined
  readonly notRooms: ReadonlySet<string>
  readonly containsUrl: boolean | undefined
  readonly labels: ReadonlySet<string> | undefined
  readonly notLabels: ReadonlySet<string>
  /** Only events to which others of these relations exist; not judged by `matches`, which sees one event at a time. */
  readonly relatedByRelTypes: readonly string[] | undefined
  /** Only events to which these users have related others; not judged by `matches`. */
  readonly relatedBySenders: readonly string[] | undefined
  /** Only events that relate to another in one of these ways. */
  readonly relTypes: ReadonlySet<string> | undefined
  readonly notRelTypes: ReadonlySet<string>
  readonly lazyLoadMembers: boolean
  readonly includeRedundantMembers: boolean
  readonly unreadThreadNotifications: boolean
  readonly #allowedTypes: TypeMatcher | undefined
  readonly #refusedTypes: TypeMatcher
  readonly #looksInside: boolean

  /** Throws `M_BAD_JSON` or `M_INVALID_PARAM`; `where` names the part in messages. */
  constructor(json: JsonObject, where = 'filter') {
    const read = new FieldReader(json, where)
    this.limit = read.limit('limit')
    this.types = read.strings('types')
    this.notTypes = read.strings('not_types') ?? []
    this.senders = asSet(read.ids('senders', '@'))
    this.notSenders = new Set(read.ids('not_senders', '@'))
    this.rooms = asSet(read.ids('rooms', '!'))
    this.notRooms = new Set(read.ids('not_rooms', '!'))
    this.containsUrl = read.boolean('contains_url')
    this.labels = asSet(read.strings('org.matrix.labels'))
    this.notLabels = new Set(read.strings('org.matrix.not_labels'))
    this.relatedByRelTypes = read.strings('related_by_rel_types')
    this.relatedBySenders = read.ids('related_by_senders', '@')
    this.relTypes = asSet(read.strings('rel_types') ?? read.strings('org.matrix.msc3874.rel_types'))
    this.notRelTypes = new Set(
      read.strings('not_rel_types') ?? read.strings('org.matrix.msc3874.not_rel_types'),
    )
    this.lazyLoadMembers = read.boolean('lazy_load_members') ?? false
    this.includeRedundantMembers = read.boolean('include_redundant_members') ?? false
    this.unreadThreadNotifications =
      read.boolean('unread_thread_notifications') ??
      read.boolean('org.matrix.msc3773.unread_thread_notifications') ??
      false
    this.#allowedTypes = this.types && new TypeMatcher(this.types)
    this.#refusedTypes = new TypeMatcher(this.notTypes)
    this.#looksInside =
      this.containsUrl !== undefined ||
      this.labels !== undefined ||
      this.notLabels.size > 0 ||
      this.relTypes !== undefined ||
      this.notRelTypes.size > 0
  }

  /** Whether nothing at all can pass: a list of what is allowed is empty. */
  get passesNothing(): boolean {
    return this.types?.length === 0 || this.senders?.size === 0 || this.rooms?.size === 0
  }

  /** The types that can pass, where they are few and known by name. */
  get exactTypes(): readonly string[] | undefined {
    return this.types?.every((type) => !type.includes('*')) ? this.types : undefined
  }

  /** Whether events of a type can pass. */
  allowsType(type: string): boolean {
    if (this.#refusedTypes.matches(type)) return false
    return this.#allowedTypes?.matches(type) ?? true
  }

  /** Whether events of a sender can pass. Those without one pass where no senders are asked for. */
  allowsSender(sender: string | undefined): boolean {
    if (sender === undefined) return this.senders === undefined
    return !this.notSenders.has(sender) && (this.senders?.has(sender) ?? true)
  }

  /** Whether an event passes. */
  matches(subject: FilterSubject): boolean {
    if (!this.allowsType(subject.type) || !this.allowsSender(subject.sender)) return false
    if (subject.roomId !== undefined && !selectsRoom(this, subject.roomId)) return false
    return !this.#looksInside || this.#allowsContent(subject.content ?? {})
  }

  #allowsContent(content: JsonObject): boolean {
    if (this.containsUrl !== undefined && this.containsUrl !== (typeof content['url'] === 'string'))
      return false
    if (this.labels !== undefined || this.notLabels.size > 0) {
      const labels = stringsIn(content['org.matrix.labels'])
      if (labels.some((label) => this.notLabels.has(label))) return false
      if (this.labels !== undefined && !labels.some((label) => this.labels?.has(label))) return false
    }
    const relation = content['m.relates_to']
    const relType = isJsonObject(relation) ? relation['rel_type'] : undefined
    if (typeof relType !== 'string') return this.relTypes === undefined
    return !this.notRelTypes.has(relType) && (this.relTypes?.has(relType) ?? true)
  }
}

/** Whether a room passes. Excluding wins over including. */
export function selectsRoom(selection: RoomSelection, roomId: string): boolean {
  return !selection.notRooms.has(roomId) && (selection.rooms?.has(roomId) ?? true)
}

/**
 * Reads a filter as clients send it. Unknown keys are ignored. Throws `M_BAD_JSON` for values of the wrong type,
 * `M_INVALID_PARAM` for those out of range and for what is no ID.
 */
export function parseFilter(json: JsonObject): Filter {
  const read = new FieldReader(json, 'filter')
  const room = read.object('room')
  const readRoom = new FieldReader(room, 'filter.room')
  const part = (name: string): EventFilter => new EventFilter(read.object(name), `filter.${name}`)
  const roomPart = (name: string): EventFilter =>
    new EventFilter(readRoom.object(name), `filter.room.${name}`)
  return {
    eventFields: read.strings('event_fields')?.map(parseFieldPath),
    eventFormat: read.oneOf('event_format', ['client', 'federation']) ?? 'client',
    presence: part('presence'),
    accountData: part('account_data'),
    room: {
      rooms: asSet(readRoom.ids('rooms', '!')),
      notRooms: new Set(readRoom.ids('not_rooms', '!')),
      includeLeave: readRoom.boolean('include_leave') ?? false,
      ephemeral: roomPart('ephemeral'),
      state: roomPart('state'),
      timeline: roomPart('timeline'),
      accountData: roomPart('account_data'),
    },
  }
}

/** Throws what `parseFilter` throws: for filters that are to be kept. */
export function checkFilter(json: JsonObject): void {
  parseFilter(json)
}

/** Reads the `filter` of an endpoint that lists events of rooms: a room event filter. Throws what `parseFilter` does. */
export function parseRoomEventFilter(json: JsonObject): EventFilter {
  return new EventFilter(json)
}

/** Names of types, some with `*` for any characters. */
class TypeMatcher {
  readonly #exact = new Set<string>()
  readonly #patterns: (readonly string[])[] = []

  constructor(types: readonly string[]) {
    for (const type of types) {
      if (type.includes('*')) this.#patterns.push(type.split('*'))
      else this.#exact.add(type)
    }
  }

  matches(type: string): boolean {
    return this.#exact.has(type) || this.#patterns.some((pieces) => matchesPieces(pieces, type))
  }
}

/** The first piece at the start, the last at the end, the others in between in order: linear, whatever the pattern. */
function matchesPieces(pieces: readonly string[], text: string): boolean {
  const first = pieces[0] ?? ''
  const last = pieces.at(-1) ?? ''
  if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last))
    return false
  const end = text.length - last.length
  let position = first.length
  for (const piece of pieces.slice(1, -1)) {
    const found = text.indexOf(piece, position)
    if (found === -1 || found + piece.length > end) return false
    position = found + piece.length
  }
  return true
}

/** Reads the members of one object of a filter, naming what is wrong. */
class FieldReader {
  readonly #json: JsonObject
  readonly #where: string

  constructor(json: JsonObject, where: string) {
    this.#json = json
    this.#where = where
  }

  object(name: string): JsonObject {
    const value = this.#json[name]
    if (value === undefined || value === null) return {}
    if (!isJsonObject(value)) throw this.#wrongType(name, 'an object')
    return value
  }

  boolean(name: string): boolean | undefined {
    const value = this.#json[name]
    if (value === undefined || value === null) return undefined
    if (typeof value !== 'boolean') throw this.#wrongType(name, 'a boolean')
    return value
  }

  strings(name: string): readonly string[] | undefined {
    const value = this.#json[name]
    if (value === undefined || value === null) return undefined
    if (!Array.isArray(value)) throw this.#wrongType(name, 'a list of strings')
    return value.map((entry: JsonValue) => {
      if (typeof entry !== 'string') throw this.#wrongType(name, 'a list of strings')
      return entry
    })
  }

  ids(name: string, sigil: '@' | '!'): readonly string[] | undefined {
    const ids = this.strings(name)
    const wrong = ids?.find((id) => !id.startsWith(sigil) || (sigil === '@' && !id.includes(':')))
    if (wrong === undefined) return ids
    throw invalidParam(
      `${this.#where}.${name} has something that is no ${sigil === '@' ? 'user' : 'room'} ID`,
    )
  }

  limit(name: string): number | undefined {
    const value = this.#json[name]
    if (value === undefined || value === null) return undefined
    if (typeof value !== 'number' || !Number.isInteger(value)) throw this.#wrongType(name, 'an integer')
    if (value < 0) throw invalidParam(`${this.#where}.${name} must not be negative`)
    return value
  }

  oneOf<T extends string>(name: string, values: readonly T[]): T | undefined {
    const value = this.#json[name]
    if (value === undefined || value === null) return undefined
    if (typeof value !== 'string') throw this.#wrongType(name, 'a string')
    const known = values.find((one) => one === value)
    if (known === undefined) throw invalidParam(`${this.#where}.${name} must be one of ${values.join(', ')}`)
    return known
  }

  #wrongType(name: string, expected: string): Error {
    return badJson(`${this.#where}.${name} must be ${expected}`)
  }
}

function asSet(values: readonly string[] | undefined): ReadonlySet<string> | undefined {
  return values && new Set(values)
}

function stringsIn(value: JsonValue | undefined): string[] {
  return Array.isArray(value) ? value.filter((entry) => typeof entry === 'string') : []
}

/** Lets everything through. */
export const NO_FILTER: Filter = parseFilter({})
export const NO_EVENT_FILTER: EventFilter = new EventFilter({})
