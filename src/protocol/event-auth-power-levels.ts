import { isJsonObject, type JsonObject, type JsonValue } from '../util/json.js'
import { ALLOWED, refuse, type AuthVerdict } from './auth-verdict.js'
import type { Event } from './event.js'
import { parseUserId } from './ids.js'
import { LEVEL_PROPERTIES, parseLevel, roomCreators } from './power-levels.js'
import type { RoomVersionRules } from './room-versions.js'
import type { AuthState } from './state-map.js'

/**
 * Rule 10 (9 in room versions 6 to 11): may the sender, whose level is `senderLevel`, set these power levels?
 * https://spec.matrix.org/latest/rooms/v12/#authorisation-rules
 */
export function checkPowerLevels(
  rules: RoomVersionRules,
  event: Event,
  state: AuthState,
  senderLevel: number,
): AuthVerdict {
  const { content } = event
  const format = checkFormat(rules, content, state)
  if (!format.allowed) return format
  // 10.5: the first power levels of a room are allowed.
  const previous = state.get('m.room.power_levels', '')?.content
  if (!previous) return ALLOWED
  return firstRefusal(
    () => checkProperties(rules, { previous, content, senderLevel }),
    () => checkEntries(rules, { previous, content, senderLevel }),
    () => checkUsers(rules, { previous, content, senderLevel }, event.sender),
  )
}

interface Change {
  readonly previous: JsonObject
  readonly content: JsonObject
  readonly senderLevel: number
}

function firstRefusal(...checks: readonly (() => AuthVerdict)[]): AuthVerdict {
  for (const check of checks) {
    const verdict = check()
    if (!verdict.allowed) return verdict
  }
  return ALLOWED
}

function checkFormat(rules: RoomVersionRules, content: JsonObject, state: AuthState): AuthVerdict {
  return firstRefusal(
    () => (rules.integerPowerLevels ? checkIntegers(content) : ALLOWED),
    () => checkUsersFormat(rules, content['users'], state),
  )
}

function checkIntegers(content: JsonObject): AuthVerdict {
  // 10.1 (since version 10): the plain levels are integers.
  for (const name of LEVEL_PROPERTIES) {
    const value = content[name]
    if (value !== undefined && !Number.isInteger(value)) return refuse('10.1', `${name} is not an integer`)
  }
  // 10.2 (since version 10): events and notifications are objects of integers.
  for (const name of ['events', 'notifications'] as const) {
    const value = content[name]
    if (value === undefined) continue
    if (!isJsonObject(value) || !Object.values(value).every(Number.isInteger)) {
      return refuse('10.2', `${name} is not an object of integers`)
    }
  }
  return ALLOWED
}

function checkUsersFormat(
  rules: RoomVersionRules,
  users: JsonValue | undefined,
  state: AuthState,
): AuthVerdict {
  if (users === undefined) return ALLOWED
  // 10.3: users is an object of levels by user ID.
  if (!isJsonObject(users)) return refuse('10.3', 'users is not an object')
  for (const [userId, level] of Object.entries(users)) {
    if (parseUserId(userId) === undefined) return refuse('10.3', 'users has a key that is no user ID')
    if (parseLevel(rules, level) === undefined) return refuse('10.3', `The level of ${userId} is no integer`)
  }
  // 10.4 (since version 12): creators, whose power is infinite, are not among users.
  if (!rules.privilegedCreators) return ALLOWED
  const create = state.get('m.room.create', '')
  const named = create && roomCreators(rules, create).find((creator) => Object.hasOwn(users, creator))
  return named === undefined ? ALLOWED : refuse('10.4', `${named} created the room and has no level in users`)
}

/** 10.6: what is added, changed or removed of the plain levels was and becomes no higher than the sender's own. */
function checkProperties(rules: RoomVersionRules, change: Change): AuthVerdict {
  for (const name of LEVEL_PROPERTIES) {
    const before = parseLevel(rules, change.previous[name])
    const after = parseLevel(rules, change.content[name])
    if (before === after) continue
    // 10.6.1
    if (before !== undefined && before > change.senderLevel) return tooHigh('10.6.1', `${name} as it is`)
    // 10.6.2
    if (after !== undefined && after > change.senderLevel) return tooHigh('10.6.2', name)
  }
  return ALLOWED
}

/** 10.7 and 10.8: likewise for each of events and, since version 6, notifications. */
function checkEntries(rules: RoomVersionRules, change: Change): AuthVerdict {
  const objects = rules.checkNotificationsPowerLevel ? (['events', 'notifications'] as const) : ['events']
  for (const object of objects) {
    for (const entry of alteredEntries(rules, change.previous[object], change.content[object])) {
      const { name, before, after } = entry
      // 10.7: changed or removed
      if (before !== undefined && before > change.senderLevel)
        return tooHigh('10.7', `${object}.${name} as it is`)
      // 10.8: added or changed
      if (after !== undefined && after > change.senderLevel) return tooHigh('10.8', `${object}.${name}`)
    }
  }
  return ALLOWED
}

/** 10.9 and 10.10: others' levels must be below the sender's to be changed; nobody is raised above the sender. */
function checkUsers(rules: RoomVersionRules, change: Change, sender: string): AuthVerdict {
  for (const entry of alteredEntries(rules, change.previous['users'], change.content['users'])) {
    const { name, before, after } = entry
    // 10.9: changed or removed, other than the sender's own
    if (before !== undefined && name !== sender && before >= change.senderLevel) {
      return refuse('10.9', `The level of ${name} is not below the sender's`)
    }
    // 10.10: added or changed
    if (after !== undefined && after > change.senderLevel) return tooHigh('10.10', `The level of ${name}`)
  }
  return ALLOWED
}

interface Entry {
  readonly name: string
  readonly before: number | undefined
  readonly after: number | undefined
}

/** The entries of an object that differ, as levels. */
function alteredEntries(
  rules: RoomVersionRules,
  previous: JsonValue | undefined,
  next: JsonValue | undefined,
): Entry[] {
  const old = isJsonObject(previous) ? previous : {}
  const now = isJsonObject(next) ? next : {}
  const levelIn = (object: JsonObject, name: string): number | undefined =>
    Object.hasOwn(object, name) ? parseLevel(rules, object[name]) : undefined
  const names = new Set([...Object.keys(old), ...Object.keys(now)])
  return [...names]
    .map((name) => ({ name, before: levelIn(old, name), after: levelIn(now, name) }))
    .filter(({ before, after }) => before !== after)
}

function tooHigh(rule: string, what: string): AuthVerdict {
  return refuse(rule, `${what} is higher than the sender's power level`)
}
