import { isJsonObject, type JsonValue } from '../util/json.js'
import type { Event } from './event.js'
import type { RoomVersionRules } from './room-versions.js'

/** The properties of power levels that are a level each, not levels by name. */
export const LEVEL_PROPERTIES = [
  'users_default',
  'events_default',
  'state_default',
  'ban',
  'redact',
  'kick',
  'invite',
] as const

/** Levels by name: of users, of event types, of notifications. Undefined where none is given. */
export interface LevelsByName {
  get(name: string): number | undefined
}

/**
 * The power levels of a room with all defaults filled in.
 * https://spec.matrix.org/latest/client-server-api/#mroompower_levels
 */
export interface PowerLevels {
  readonly ban: number
  readonly kick: number
  readonly invite: number
  readonly redact: number
  readonly eventsDefault: number
  readonly stateDefault: number
  readonly usersDefault: number
  readonly notifications: { readonly room: number }
  readonly events: LevelsByName
  readonly users: LevelsByName
  /** False where the room has no `m.room.power_levels` event: its creator then has level 100. */
  readonly given: boolean
}

/** The level of every creator from room version 12 on: above all others, and not above other creators. */
export const CREATOR_POWER_LEVEL = Infinity

/** The levels that an `m.room.power_levels` event gives, or the defaults where a room has none. */
export function parsePowerLevels(rules: RoomVersionRules, event: Event | undefined): PowerLevels {
  const content = event?.content ?? {}
  const level = (name: string, otherwise: number): number => parseLevel(rules, content[name]) ?? otherwise
  return {
    ban: level('ban', 50),
    kick: level('kick', 50),
    invite: level('invite', 0),
    redact: level('redact', 50),
    eventsDefault: level('events_default', 0),
    stateDefault: level('state_default', 50),
    usersDefault: level('users_default', 0),
    notifications: { room: levelsByName(rules, content['notifications']).get('room') ?? 50 },
    events: levelsByName(rules, content['events']),
    users: levelsByName(rules, content['users']),
    given: event !== undefined,
  }
}

/** Levels in an object of the content; none where it is no object. */
function levelsByName(rules: RoomVersionRules, value: JsonValue | undefined): LevelsByName {
  return {
    get: (name) => {
      // Names come from users: `constructor` is nobody's level.
      if (!isJsonObject(value) || !Object.hasOwn(value, name)) return undefined
      return parseLevel(rules, value[name])
    },
  }
}

const INTEGER_TEXT = /^\s*[+-]?[0-9]+\s*$/

/**
 * A level as its room version reads it, undefined where it is none: integers; up to version 9 also integers in strings;
 * in versions that allow floats those too, cut at the point.
 * https://spec.matrix.org/latest/rooms/v1/#deprecated-event-content-schemas
 */
export function parseLevel(rules: RoomVersionRules, value: unknown): number | undefined {
  if (typeof value === 'number') {
    if (Number.isInteger(value)) return value
    return rules.strictCanonicalJson || !Number.isFinite(value) ? undefined : Math.trunc(value)
  }
  if (rules.integerPowerLevels || typeof value !== 'string' || !INTEGER_TEXT.test(value)) return undefined
  const number = Number(value)
  return Number.isFinite(number) ? number : undefined
}

/**
 * Who created a room, as its version sees it: the create event's `creator`; its sender (version 11); that and
 * `additional_creators` (version 12).
 */
export function roomCreators(rules: RoomVersionRules, createEvent: Event): string[] {
  if (!rules.implicitCreator) {
    const { creator } = createEvent.content
    return typeof creator === 'string' ? [creator] : []
  }
  if (!rules.privilegedCreators) return [createEvent.sender]
  const additional = createEvent.content['additional_creators']
  const others = Array.isArray(additional) ? additional.filter((id) => typeof id === 'string') : []
  return [createEvent.sender, ...others]
}

/** A user's power level; `Infinity` for creators from room version 12 on. */
export function userPowerLevel(
  rules: RoomVersionRules,
  levels: PowerLevels,
  createEvent: Event | undefined,
  userId: string,
): number {
  const isCreator = (): boolean =>
    createEvent !== undefined && roomCreators(rules, createEvent).includes(userId)
  if (rules.privilegedCreators && isCreator()) return CREATOR_POWER_LEVEL
  if (levels.given) return levels.users.get(userId) ?? levels.usersDefault
  return !rules.privilegedCreators && isCreator() ? 100 : 0
}

/** The level that sending an event of a type takes. Says nothing of memberships, which have levels of their own. */
export function requiredPowerLevel(levels: PowerLevels, type: string, isState: boolean): number {
  return levels.events.get(type) ?? (isState ? levels.stateDefault : levels.eventsDefault)
}
