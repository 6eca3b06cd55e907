import type { Database } from '../../storage/database.js'
import type { PushException } from '../../storage/stores/event-writer.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import { POLL_TYPES, USUAL_DEFAULT_RULES, type DefaultRuleChoice } from '../../protocol/default-push-rules.js'
import type { Event } from '../../protocol/event.js'
import { parseEventId, parseUserId, type EventId, type RoomId, type UserId } from '../../protocol/ids.js'
import { parsePowerLevels, userPowerLevel } from '../../protocol/power-levels.js'
import type { RoomVersionRules } from '../../protocol/room-versions.js'
import type { AuthState } from '../../protocol/state-map.js'
import { containsWords } from '../../util/glob.js'
import { isJsonObject } from '../../util/json.js'
import type { PushAudience } from './push-audience.js'

/** Stands for everybody in the room but the sender. */
export const EVERYBODY = '*' as UserId

/** What an event does to the unread counts of the room's members. */
export interface PushVerdict {
  /** The default push rules notify all joined members but the sender. */
  readonly notifies: boolean
  /** Whom it highlights, and by that notifies: local members by name, or `EVERYBODY`. */
  readonly highlights: readonly UserId[]
  /** For whom it counts otherwise. */
  readonly exceptions: readonly PushException[]
}

type DefaultVerdict = Omit<PushVerdict, 'exceptions'>

export interface PushActionsOptions {
  /** `push.enabled`. */
  readonly enabled: boolean
  /** Knows who has rules of their own and what members are called; without it nobody has either. */
  readonly audience?: Pick<PushAudience, 'exceptions' | 'named'>
  readonly defaultRules?: DefaultRuleChoice
  /** Rooms that no client is told of: they notify nobody. */
  readonly silentRooms?: ReadonlySet<RoomId> | undefined
}

/** What the default underride rules notify of. */
const NOTIFYING_TYPES: readonly string[] = ['m.room.message', 'm.room.encrypted', 'm.call.invite']
const NOTIFYING_POLLS: readonly string[] = [POLL_TYPES.start, POLL_TYPES.end]

/**
 * Judges events by the default push rules, once per event, and by their own rules for those who have some: no row per
 * member and message. https://spec.matrix.org/latest/client-server-api/#predefined-rules
 */
export class PushActions {
  readonly #db: Database
  readonly #members: RoomMembersStore
  readonly #options: PushActionsOptions
  readonly #rules: DefaultRuleChoice
  readonly #notifyingTypes: ReadonlySet<string>

  constructor(db: Database, members: RoomMembersStore, options: PushActionsOptions) {
    this.#db = db
    this.#members = members
    this.#options = options
    this.#rules = options.defaultRules ?? USUAL_DEFAULT_RULES
    this.#notifyingTypes = new Set([...NOTIFYING_TYPES, ...(this.#rules.polls ? NOTIFYING_POLLS : [])])
  }

  /** `mayNotifyRoom`: the sender's power level reaches `notifications.room`. */
  async judge(
    room: RoomRecord,
    event: Event,
    options: { mayNotifyRoom: () => boolean },
  ): Promise<PushVerdict> {
    const { enabled, audience, silentRooms } = this.#options
    if (!enabled || silentRooms?.has(room.roomId)) return { ...SILENT, exceptions: [] }
    const verdict = await this.#judgeByDefault(room, event, options)
    if (audience === undefined) return { ...verdict, exceptions: [] }
    const { notifies, highlights } = verdict
    const exceptions = await audience.exceptions(room, event, {
      defaultFor: (userId) => {
        const highlight = highlights.includes(EVERYBODY) || highlights.includes(userId)
        return { notify: notifies || highlight, highlight }
      },
      mayNotify: (key) => key === 'room' && options.mayNotifyRoom(),
      threadRoot: this.#rules.threadSubscriptions ? threadRootOf(event) : undefined,
    })
    return { notifies, highlights, exceptions }
  }

  /** The default rules in their order, for members who have joined. */
  async #judgeByDefault(
    room: RoomRecord,
    event: Event,
    options: { mayNotifyRoom: () => boolean },
  ): Promise<DefaultVerdict> {
    const type = event.type.toLowerCase()
    if (isText(event.content['msgtype'], 'm.notice') || type === 'm.room.member') return SILENT
    if (this.#mentionsRoom(event) && options.mayNotifyRoom()) return HIGHLIGHTING
    if (type === 'm.room.tombstone' && event.stateKey === '') return HIGHLIGHTING
    const mentions = event.content['m.mentions']
    return {
      notifies: this.#notifyingTypes.has(type) && !isEdit(event) && !this.#isForSubscribers(event),
      highlights: isJsonObject(mentions)
        ? await this.#mentioned(room, event, mentions['user_ids'])
        : await this.#named(room, event),
    }
  }

  async #mentioned(room: RoomRecord, event: Event, userIds: unknown): Promise<UserId[]> {
    if (!Array.isArray(userIds)) return []
    const named = [...new Set(userIds.filter((id): id is string => isUserId(id) && id !== event.sender))]
    if (named.length === 0) return []
    const members = await this.#members.getMany(this.#db.reader, room.roomNid, named)
    return [...members.values()].flatMap((member) =>
      member.isLocal && member.membership === 'join' ? [member.userId] : [],
    )
  }

  /** Those whose name is in the text of an event that does not say itself whom it mentions. */
  async #named(room: RoomRecord, event: Event): Promise<UserId[]> {
    const { body } = event.content
    const { audience } = this.#options
    if (typeof body !== 'string' || saysMentions(event) || !audience || !this.#rules.textMentions) return []
    const named = await audience.named(room, body)
    const onlyDisplayNames = this.#isKeptQuiet(event)
    const userIds = named.flatMap(({ userId, by }) =>
      userId !== event.sender && (by === 'displayName' || !onlyDisplayNames) ? [userId] : [],
    )
    return [...new Set(userIds)]
  }

  /** Whether an event is in a thread of which only those are notified who have subscribed to it. */
  #isForSubscribers(event: Event): boolean {
    return this.#rules.threadSubscriptions === true && threadRootOf(event) !== undefined
  }

  /** Whether an event asks to notify everybody in the room; whether its sender may is another question. */
  #mentionsRoom(event: Event): boolean {
    const { body, 'm.mentions': mentions } = event.content
    if (saysMentions(event)) return isJsonObject(mentions) && mentions['room'] === true
    return this.#rules.textMentions && typeof body === 'string' && containsWords(body.toLowerCase(), '@room')
  }

  /** Whether override rules say that an event notifies nobody, before it comes to the rule for the names of users. */
  #isKeptQuiet(event: Event): boolean {
    const type = event.type.toLowerCase()
    return (
      type === 'm.reaction' ||
      (type === 'm.room.server_acl' && event.stateKey === '') ||
      (this.#rules.polls && type === POLL_TYPES.response) ||
      isEdit(event)
    )
  }
}

/**
 * Whether the usual default rules notify everybody of an event by what it is, whoever it mentions: for events of the past,
 * whose highlights are known otherwise.
 */
export function notifiesByType(event: Event): boolean {
  const type = event.type.toLowerCase()
  return NOTIFYING_TYPES.includes(type) && !isText(event.content['msgtype'], 'm.notice') && !isEdit(event)
}

const SILENT: DefaultVerdict = { notifies: false, highlights: [] }
const HIGHLIGHTING: DefaultVerdict = { notifies: true, highlights: [EVERYBODY] }

/** Nobody is called anything else, and not every text can be looked up. */
function isUserId(value: unknown): value is string {
  return typeof value === 'string' && parseUserId(value) !== undefined
}

/** Push rules compare text without regard to case. */
function isText(value: unknown, wanted: string): boolean {
  return typeof value === 'string' && value.toLowerCase() === wanted
}

function saysMentions(event: Event): boolean {
  return Object.hasOwn(event.content, 'm.mentions')
}

function isEdit(event: Event): boolean {
  const relation = event.content['m.relates_to']
  return isJsonObject(relation) && relation['rel_type'] === 'm.replace'
}

function threadRootOf(event: Event): EventId | undefined {
  const relation = event.content['m.relates_to']
  if (!isJsonObject(relation) || relation['rel_type'] !== 'm.thread') return undefined
  const { event_id: rootId } = relation
  return typeof rootId === 'string' ? parseEventId(rootId) : undefined
}

/** Whether the sender's power level lets `m.mentions.room` notify everybody. */
export function mayNotifyRoom(rules: RoomVersionRules, event: Event, state: AuthState): boolean {
  const create = state.get('m.room.create', '')
  if (!create) return false
  const levels = parsePowerLevels(rules, state.get('m.room.power_levels', ''))
  return userPowerLevel(rules, levels, create, event.sender) >= levels.notifications.room
}
