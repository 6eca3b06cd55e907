import type { RoomVersionRules } from '../../protocol/room-versions.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3createroom */
export type RoomPreset = 'private_chat' | 'trusted_private_chat' | 'public_chat'

interface PresetSettings {
  readonly joinRule: 'invite' | 'public'
  /** Where they may not, nothing is said: that is so in rooms without a word of it. */
  readonly guestsMayJoin: boolean
  /** On top of the levels that all rooms start with. */
  readonly powerLevels: JsonObject
}

const PRIVATE: PresetSettings = { joinRule: 'invite', guestsMayJoin: true, powerLevels: { invite: 0 } }

export const PRESETS: Readonly<Record<RoomPreset, PresetSettings>> = {
  private_chat: PRIVATE,
  trusted_private_chat: PRIVATE,
  public_chat: { joinRule: 'public', guestsMayJoin: false, powerLevels: { invite: 50 } },
}

/** A piece of state without whose it is. */
export interface StateDraft {
  readonly type: string
  readonly stateKey: string
  readonly content: JsonObject
}

/** The state that a preset gives a room. */
export function presetState(preset: RoomPreset): StateDraft[] {
  const { joinRule, guestsMayJoin } = PRESETS[preset]
  const guestAccess: StateDraft = {
    type: 'm.room.guest_access',
    stateKey: '',
    content: { guest_access: 'can_join' },
  }
  return [
    { type: 'm.room.join_rules', stateKey: '', content: { join_rule: joinRule } },
    { type: 'm.room.history_visibility', stateKey: '', content: { history_visibility: 'shared' } },
    ...(guestsMayJoin ? [guestAccess] : []),
  ]
}

export interface PowerLevelInput {
  readonly rules: RoomVersionRules
  readonly creator: string
  /** Who gets the creator's level: invitees of `trusted_private_chat`. */
  readonly trusted: readonly string[]
  /** Contents that replace parts of it, key by key, the later ones on top. */
  readonly overrides: readonly JsonObject[]
}

/** The content of a new room's `m.room.power_levels`. */
export function initialPowerLevels({ rules, creator, trusted, overrides }: PowerLevelInput): JsonObject {
  // Creators with infinite power must not be listed; they alone may then end the room.
  const users = rules.privilegedCreators
    ? {}
    : Object.fromEntries([creator, ...trusted].map((userId) => [userId, 100]))
  const levels: JsonObject = {
    users,
    users_default: 0,
    events: {
      'm.room.name': 50,
      'm.room.power_levels': 100,
      'm.room.history_visibility': 100,
      'm.room.canonical_alias': 50,
      'm.room.avatar': 50,
      'm.room.tombstone': rules.privilegedCreators ? TOMBSTONE_LEVEL : 100,
      'm.room.server_acl': 100,
      'm.room.encryption': 100,
    },
    events_default: 0,
    state_default: 50,
    ban: 50,
    kick: 50,
    redact: 50,
    invite: 50,
  }
  for (const override of overrides) Object.assign(levels, override)
  return levels
}

/** Above all that administrators have: from room version 12 on, upgrading is left to creators. */
export const TOMBSTONE_LEVEL = 150

/** A topic as text and as extensible content. https://spec.matrix.org/latest/client-server-api/#mroomtopic */
export function topicContent(topic: string): JsonObject {
  return { topic, 'm.topic': { 'm.text': [{ body: topic }] } }
}

/**
 * The plain text of an `m.room.topic`: of `m.topic` where that has any, else the field of old. Undefined: there is none.
 */
export function plainTopic(content: JsonObject): string | undefined {
  const block = content['m.topic']
  const texts = isJsonObject(block) ? block['m.text'] : undefined
  if (Array.isArray(texts)) {
    for (const text of texts) {
      if (!isJsonObject(text) || typeof text['body'] !== 'string') continue
      if (text['mimetype'] === undefined || text['mimetype'] === 'text/plain') return text['body']
    }
  }
  const { topic } = content
  return typeof topic === 'string' ? topic : undefined
}
