import { badJson, forbidden, invalidParam, MatrixError } from '../../protocol/errors.js'
import {
  parseEventId,
  type DeviceId,
  type EventId,
  type RoomId,
  type ServerName,
} from '../../protocol/ids.js'
import { ownerOfStateKey } from '../../protocol/owned-state.js'
import { MAX_STICKY_MS } from '../../protocol/sticky-events.js'
import type { Database } from '../../storage/database.js'
import { DELAYED_SENDER, type EventTxnsStore } from '../../storage/stores/event-txns.js'
import type { EventsStore } from '../../storage/stores/events.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { JsonObject } from '../../util/json.js'
import type { RateLimits } from '../accounts/ratelimits.js'
import type { Requester } from '../accounts/requester.js'
import { checkNotSuspended } from '../accounts/suspension.js'
import type { EventSender, EventSource } from '../events/event-sender.js'
import type { RoomState } from '../events/room-state.js'
import type { Aliases } from './aliases.js'
import { badAlias, newAliases } from './canonical-aliases.js'
import { checkEventContent } from './event-content-checks.js'
import type { GuestAccess } from './guest-access.js'
import type { RelationChecks } from './relation-checks.js'
import type { RoomMembership } from './room-membership.js'
import type { RoomSuccession } from './room-succession.js'
import { pretendedEventId } from './shadow-bans.js'
import {
  checkPowerLevelContent,
  checkServerAclContent,
  checkTombstoneContent,
  createEventRefused,
} from './state-content-checks.js'

export interface RoomSendingDependencies {
  readonly db: Database
  readonly events: EventsStore
  readonly transactions: EventTxnsStore
  readonly roomState: RoomState
  readonly sender: EventSender
  readonly membership: RoomMembership
  readonly aliases: Aliases
  readonly relations: RelationChecks
  readonly guestAccess: GuestAccess
  readonly succession: RoomSuccession
  readonly rateLimits: Pick<RateLimits, 'consumeFor'>
  readonly serverName: ServerName
  /** `msc4354_enabled`. */
  readonly sendsSticky: boolean
  /** Called with what fails after an event is sent. */
  readonly onError: (error: unknown) => void
}

export interface MessageInput {
  readonly roomId: RoomId
  readonly type: string
  readonly content: JsonObject
  readonly txnId: string
  /** Milliseconds since the epoch; means nothing but for application services. */
  readonly ts?: number | undefined
  /** For how long everybody in the room is told of it; means nothing where that is switched off. */
  readonly stickyMs?: number | undefined
  /** Of what a client has let wait: instead of a transaction. */
  readonly delayId?: string
}

export interface StateInput {
  readonly roomId: RoomId
  readonly type: string
  readonly stateKey: string
  readonly content: JsonObject
  readonly ts?: number | undefined
  readonly stickyMs?: number | undefined
  readonly delayId?: string
}

const MAX_SESSION_NAME_LENGTH = 255
const REDACTION_TYPE = 'm.room.redaction'
const CALL_TYPE = 'm.call.invite'

/** Sends what clients send into rooms. https://spec.matrix.org/latest/client-server-api/#sending-events-to-a-room */
export class RoomSending {
  readonly #deps: RoomSendingDependencies
  readonly #following = new Set<Promise<void>>()

  constructor(deps: RoomSendingDependencies) {
    this.#deps = deps
  }

  /**
   * Sends an event; the same transaction of the same device gives the same event. Throws `M_NOT_FOUND` for unknown
   * rooms, `M_FORBIDDEN`, `M_TOO_LARGE`, `M_BAD_JSON`, `M_DUPLICATE_ANNOTATION`, `M_USER_SUSPENDED`, `M_LIMIT_EXCEEDED`.
   */
  async sendMessage(requester: Requester, input: MessageInput): Promise<EventId> {
    const { content, type, roomId, txnId } = input
    if (type === 'm.room.create') throw createEventRefused()
    if (type === REDACTION_TYPE) return this.#redact(requester, input)
    checkNotSuspended(requester)
    await this.#deps.rateLimits.consumeFor(requester, 'message')
    if (requester.isShadowBanned) return pretendedEventId()
    const room = await this.#deps.roomState.requireRoom(roomId)
    if (type === CALL_TYPE) await this.#checkMayCall(roomId)
    try {
      checkEventContent(type, content)
      await this.#deps.relations.check(room, { type, content, sender: requester.userId })
    } catch (error) {
      // What looks like a second event may be the first one, sent again.
      const sent = await this.#findSent(sourceOf(requester, input), room, txnId)
      if (sent) return sent
      throw error
    }
    return this.#deps.sender.send(sourceOf(requester, input), {
      roomId,
      type,
      content,
      txnId,
      ts: timestampOf(requester, input),
      stickyMs: this.#stickyOf(input),
    })
  }

  /**
   * Sets a piece of state; the same content again gives the event that is there. Throws as `sendMessage`; `M_BAD_ALIAS`
   * and `M_INVALID_PARAM` for canonical aliases; as `RoomMembership` for memberships.
   */
  async setState(requester: Requester, input: StateInput): Promise<EventId> {
    const { roomId, type, stateKey, content } = input
    if (type === 'm.room.create') throw createEventRefused()
    if (type === 'm.room.member') {
      if (content['membership'] !== 'join' && content['membership'] !== 'invite') {
        await this.#deps.rateLimits.consumeFor(requester, 'message')
      }
      return this.#deps.membership.setMembership(requester, roomId, { userId: stateKey, content })
    }
    checkNotSuspended(requester)
    await this.#deps.rateLimits.consumeFor(requester, 'message')
    if (requester.isShadowBanned) return pretendedEventId()
    const room = await this.#deps.roomState.requireRoom(roomId)
    await this.#checkState(room, input)
    const eventId = await this.#deps.sender.send(sourceOf(requester, input), {
      roomId,
      type,
      stateKey,
      content,
      txnId: input.delayId,
      ts: timestampOf(requester, input),
      stickyMs: this.#stickyOf(input),
    })
    if (type === 'm.room.guest_access') this.#follow(this.#deps.guestAccess.enforce(roomId))
    if (type === 'm.room.tombstone' && stateKey === '') this.#deps.succession.onTombstone(roomId)
    return eventId
  }

  /** Takes the content of an event away. Throws as `sendMessage`, `M_INVALID_PARAM` for events of other rooms. */
  async redact(
    requester: Requester,
    input: { roomId: RoomId; eventId: EventId; content: JsonObject; txnId: string },
  ): Promise<EventId> {
    const content = { ...input.content, redacts: input.eventId }
    return this.#redact(requester, { ...input, type: REDACTION_TYPE, content })
  }

  /** Resolves when what follows from sent events is done. */
  async settle(): Promise<void> {
    await Promise.all(this.#following)
  }

  async #redact(requester: Requester, input: MessageInput): Promise<EventId> {
    const { db, events, rateLimits, sender } = this.#deps
    const { roomId, content, txnId } = input
    const { redacts } = content
    const targetId = typeof redacts === 'string' ? parseEventId(redacts) : undefined
    if (targetId === undefined) throw badJson('redacts must be the ID of an event')
    const target = await events.get(db.reader, targetId)
    const isOwn = target?.event.sender === requester.userId
    if (!isOwn) checkNotSuspended(requester)
    await rateLimits.consumeFor(requester, isOwn ? 'message' : 'adminRedaction')
    if (requester.isShadowBanned) return pretendedEventId()
    return sender.send(sourceOf(requester, input), {
      roomId,
      type: REDACTION_TYPE,
      content,
      txnId,
      ts: timestampOf(requester, input),
    })
  }

  /**
   * Where anybody may come in, nobody rings at everybody.
   * https://spec.matrix.org/latest/client-server-api/#voice-over-ip
   */
  async #checkMayCall(roomId: RoomId): Promise<void> {
    const joinRules = await this.#deps.roomState.getStateEvent(roomId, 'm.room.join_rules', '')
    if (joinRules?.event.content['join_rule'] === 'public')
      throw forbidden('Call invites are not allowed in public rooms')
  }

  async #checkState(room: RoomRecord, { type, stateKey, content, roomId }: StateInput): Promise<void> {
    if (room.rules.ownedState && stateKey.startsWith('@') && ownerOfStateKey(stateKey) === undefined)
      throw badJson('The state key begins with no user ID')
    checkEventContent(type, content)
    if (stateKey !== '') return
    if (type === 'm.room.canonical_alias') {
      const previous = await this.#deps.roomState.getStateEvent(roomId, type, '')
      const added = newAliases(content, previous?.event.content)
      if (!(await this.#deps.aliases.leadTo(roomId, added))) throw badAlias()
    } else if (type === 'm.room.power_levels') {
      const create = await this.#deps.roomState.getStateEvent(roomId, 'm.room.create', '')
      checkPowerLevelContent(room.rules, content, create?.event)
    } else if (type === 'm.room.tombstone') {
      checkTombstoneContent(content, roomId)
    } else if (type === 'm.room.server_acl') {
      checkServerAclContent(content, this.#deps.serverName)
    }
  }

  async #findSent(
    { userId, deviceId }: EventSource,
    room: RoomRecord,
    txnId: string,
  ): Promise<EventId | undefined> {
    if (deviceId === undefined) return undefined
    const { db, transactions } = this.#deps
    return transactions.find(db.reader, { userId, deviceId }, room.roomNid, txnId)
  }

  #stickyOf({ stickyMs }: Pick<MessageInput, 'stickyMs'>): number | undefined {
    if (stickyMs === undefined || !this.#deps.sendsSticky) return undefined
    if (stickyMs < 0) throw invalidParam('An event is not sticky for less than no time')
    return Math.min(stickyMs, MAX_STICKY_MS)
  }

  /** Lets what follows from an event go on after the answer. */
  #follow(work: Promise<void>): void {
    const following = work
      .catch((error: unknown) => {
        this.#deps.onError(error)
      })
      .finally(() => this.#following.delete(following))
    this.#following.add(following)
  }
}

/**
 * Whose transaction IDs are meant: those of a device; or of the application service or the token that acts without one,
 * whose holders send again what they have no answer to like any client. What has waited has transactions of its own.
 */
function sourceOf(
  { userId, deviceId, appserviceId, tokenId, tokenHash }: Requester,
  { delayId }: { readonly delayId?: string },
): EventSource {
  if (delayId !== undefined) return { userId, deviceId: DELAYED_SENDER as DeviceId }
  if (deviceId !== undefined) return { userId, deviceId }
  const token = tokenId ?? tokenHash
  if (appserviceId === undefined && token === undefined) return { userId, deviceId: undefined }
  const session = appserviceId === undefined ? `token ${token}` : `appservice ${appserviceId}`
  return { userId, deviceId: session.slice(0, MAX_SESSION_NAME_LENGTH) as DeviceId }
}

/** https://spec.matrix.org/latest/application-service-api/#timestamp-massaging */
function timestampOf(requester: Requester, { ts }: { ts?: number | undefined }): number | undefined {
  if (requester.appserviceId === undefined || ts === undefined) return undefined
  if (!Number.isSafeInteger(ts) || ts < 0) {
    throw new MatrixError('M_INVALID_PARAM', 'ts must be a number of milliseconds')
  }
  return ts
}
