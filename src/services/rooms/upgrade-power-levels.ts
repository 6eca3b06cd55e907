import { parseLevel } from '../../protocol/power-levels.js'
import type { RoomVersionRules } from '../../protocol/room-versions.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../../util/json.js'
import { TOMBSTONE_LEVEL } from './room-presets.js'

export interface UpgradedLevelsInput {
  /** The old room's power levels. */
  readonly content: JsonObject
  readonly oldRules: RoomVersionRules
  readonly newRules: RoomVersionRules
  /** Creators of the old room, where these have infinite power there. */
  readonly oldCreators: readonly string[]
  /** Creators of the new room, who upgrades first. */
  readonly newCreators: readonly [string, ...string[]]
}

export interface UpgradedLevels {
  /** What the new room begins with: who upgrades can send all of its first state. */
  readonly initial: JsonObject
  /** What it has afterwards; undefined where that is the same. */
  readonly final: JsonObject | undefined
}

/** State that goes over as it is. */
export const MOVED_TYPES = [
  'm.room.server_acl',
  'm.room.encryption',
  'm.room.name',
  'm.room.avatar',
  'm.room.topic',
  'm.room.guest_access',
  'm.room.history_visibility',
  'm.room.join_rules',
]

/** What the new room's first state takes, besides state that has no level of its own. */
const SENT_TYPES = [...MOVED_TYPES, 'm.room.canonical_alias', 'm.room.power_levels', 'm.space.child']

/** The power levels of a room that replaces another one of perhaps another version. */
export function upgradedLevels(input: UpgradedLevelsInput): UpgradedLevels {
  const { newRules, newCreators, oldRules, oldCreators } = input
  const content = withPlainLevels(oldRules, input.content)
  const listed = isJsonObject(content['users']) ? content['users'] : {}
  if (newRules.privilegedCreators) {
    const users = Object.fromEntries(
      Object.entries(listed).filter(([userId]) => !newCreators.includes(userId)),
    )
    const events = isJsonObject(content['events']) ? content['events'] : {}
    const initial = {
      ...content,
      users,
      events: { ...events, 'm.room.tombstone': tombstoneLevel(input, content) },
    }
    return { initial, final: undefined }
  }
  const users: JsonObject = { ...listed }
  const highest = Math.max(100, ...Object.values(users).filter(isNumber))
  // Power that was infinite is now as much as anybody has.
  for (const creator of oldCreators) users[creator] = highest
  const final = { ...content, users }
  const [upgrader] = newCreators
  const own = levelIn(users, upgrader) ?? levelIn(content, 'users_default') ?? 0
  const needed = neededLevel(content)
  if (own >= needed) return { initial: final, final: undefined }
  return { initial: { ...content, users: { ...users, [upgrader]: needed } }, final }
}

/** Levels that keep ordinary people from using a room that has been replaced; undefined where they do already. */
export function closedLevels(rules: RoomVersionRules, content: JsonObject): JsonObject | undefined {
  const usersDefault = parseLevel(rules, content['users_default']) ?? 0
  const closed = Math.max(50, usersDefault + 1)
  const eventsDefault = parseLevel(rules, content['events_default']) ?? 0
  const invite = parseLevel(rules, content['invite']) ?? 0
  if (eventsDefault >= closed && invite >= closed) return undefined
  return { ...content, events_default: Math.max(eventsDefault, closed), invite: Math.max(invite, closed) }
}

/** Ending the room must take more than other state: in versions with creators of infinite power, it is theirs to do. */
function tombstoneLevel({ oldRules }: UpgradedLevelsInput, content: JsonObject): number {
  const events = content['events']
  const old = isJsonObject(events) ? levelIn(events, 'm.room.tombstone') : undefined
  const stateDefault = levelIn(content, 'state_default') ?? 50
  if (oldRules.privilegedCreators && old !== undefined && old > stateDefault) return old
  return Math.max(old ?? 0, TOMBSTONE_LEVEL, stateDefault + 1)
}

function neededLevel(content: JsonObject): number {
  const events = isJsonObject(content['events']) ? content['events'] : {}
  const stateDefault = levelIn(content, 'state_default') ?? 50
  const ofTypes = SENT_TYPES.map((type) => levelIn(events, type) ?? stateDefault)
  return Math.max(stateDefault, levelIn(content, 'ban') ?? 50, ...ofTypes)
}

/** All levels as numbers: old versions took texts for numbers, new ones do not. What is no level is left out. */
function withPlainLevels(rules: RoomVersionRules, content: JsonObject): JsonObject {
  const plain: JsonObject = {}
  for (const [key, value] of Object.entries(content)) {
    const kept = isJsonObject(value) ? plainMap(rules, value) : parseLevel(rules, value)
    if (kept !== undefined) plain[key] = kept
  }
  return plain
}

function plainMap(rules: RoomVersionRules, map: JsonObject): JsonObject {
  const levels = Object.entries(map).map(([name, value]) => [name, parseLevel(rules, value)] as const)
  return Object.fromEntries(
    levels.filter((entry): entry is readonly [string, number] => entry[1] !== undefined),
  )
}

function levelIn(levels: JsonObject, name: string): number | undefined {
  const value = Object.hasOwn(levels, name) ? levels[name] : undefined
  return isNumber(value) ? value : undefined
}

function isNumber(value: JsonValue | undefined): value is number {
  return typeof value === 'number'
}
