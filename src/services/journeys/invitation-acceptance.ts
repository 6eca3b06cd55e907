import { MatrixError } from '../../protocol/errors.js'
import { parseUserId, serverNameOf, type RoomId, type ServerName, type UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { AccountDataStore } from '../../storage/stores/account-data.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { UserRecord, UsersStore } from '../../storage/stores/users.js'
import type { StreamName } from '../../storage/streams/stream-names.js'
import type { Logger } from '../../telemetry/logger.js'
import type { Clock } from '../../util/clock.js'
import type { JsonObject } from '../../util/json.js'
import { Semaphore } from '../../util/semaphore.js'
import type { AccountData } from '../accounts/account-data.js'
import { actingFor } from '../accounts/requester.js'
import type { EventTail } from '../events/event-tail.js'
import { StreamFollower } from '../federation/stream-follower.js'
import type { RoomMembership } from '../rooms/room-membership.js'
import type { PositionSink } from '../streams/notifier.js'
import type { HiddenInviters } from '../sync/hidden-inviters.js'

export interface AcceptanceOptions {
  readonly serverName: ServerName
  /** Only invitations to direct chats. */
  readonly onlyDirect: boolean
  /** Only those of this server's users. */
  readonly onlyFromOurs: boolean
}

export interface InvitationAcceptanceDependencies {
  readonly db: Database
  readonly clock: Pick<Clock, 'sleep'>
  readonly logger: Pick<Logger, 'debug' | 'info'>
  readonly tail: Pick<EventTail, 'between'>
  readonly events: Pick<EventsStore, 'getByNids'>
  readonly members: Pick<RoomMembersStore, 'get'>
  readonly users: Pick<UsersStore, 'get'>
  readonly accountData: Pick<AccountDataStore, 'get'>
  readonly writer: Pick<AccountData, 'writeIn'>
  readonly hiddenInviters: Pick<HiddenInviters, 'of'>
  readonly membership: Pick<RoomMembership, 'join'>
  readonly eventsPosition: () => number
  readonly onError: (error: unknown) => void
  readonly options: AcceptanceOptions
}

interface Invitation {
  readonly stored: StoredEvent
  readonly roomId: RoomId
  readonly inviter: UserId
  readonly invited: UserId
  readonly isDirect: boolean
}

/**
 * Before each attempt. The first may come too early: the inviting server has the invitation in the room only once this
 * one has answered it.
 */
const PAUSES_MS = [0, 1_000, 2_000, 4_000, 8_000]
const MAX_CONCURRENT = 10
/** More than this are left to those who are invited. */
const MAX_WAITING = 1_000

/** Accepts invitations for people of this server, as they come (`auto_accept_invites`). */
export class InvitationAcceptance implements PositionSink {
  readonly #deps: InvitationAcceptanceDependencies
  readonly #follower: StreamFollower
  readonly #turns = new Semaphore(MAX_CONCURRENT)
  readonly #running = new Set<Promise<void>>()
  readonly #stopping = new AbortController()

  constructor(deps: InvitationAcceptanceDependencies) {
    this.#deps = deps
    this.#follower = new StreamFollower({
      position: deps.eventsPosition,
      take: (after, upTo) => this.#take(after, upTo),
      onError: deps.onError,
    })
  }

  /** Invitations of before are left as they are. */
  start(): void {
    this.#follower.start(this.#deps.eventsPosition())
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#follower.stop()
    await Promise.all(this.#running)
  }

  onNewPosition(stream: StreamName): void {
    if (stream === 'events') this.#follower.kick()
  }

  async #take(after: number, upTo: number): Promise<void> {
    const { db, tail, events, logger } = this.#deps
    // What is not in memory any more lies so far back that people have seen it.
    const slice = await tail.between(after, upTo)
    const nids = (slice?.deltas ?? []).flatMap(({ type, stateKey, eventNid }) =>
      type === 'm.room.member' && this.#isOurs(stateKey) && eventNid !== null ? [eventNid] : [],
    )
    if (nids.length === 0) return
    for (const stored of (await events.getByNids(db.reader, nids)).values()) {
      const invitation = this.#toInvitation(stored)
      if (invitation === undefined) continue
      if (this.#turns.queueLength < MAX_WAITING) this.#begin(invitation)
      else logger.info({ roomId: invitation.roomId }, 'An invitation of too many is not accepted')
    }
  }

  /** Undefined for what is no invitation, and for those that are not to be accepted. */
  #toInvitation(stored: StoredEvent): Invitation | undefined {
    const { content, sender, stateKey, roomId } = stored.event
    const { onlyDirect, onlyFromOurs } = this.#deps.options
    const invited = parseUserId(stateKey ?? '')
    if (content['membership'] !== 'invite' || invited === undefined) return undefined
    const isDirect = content['is_direct'] === true
    if ((onlyDirect && !isDirect) || (onlyFromOurs && !this.#isOurs(sender))) return undefined
    return { stored, roomId, inviter: sender, invited, isDirect }
  }

  #isOurs(userId: string): boolean {
    return serverNameOf(userId) === this.#deps.options.serverName
  }

  #begin(invitation: Invitation): void {
    const running = this.#accept(invitation)
      .catch((error: unknown) => {
        if (!this.#stopping.signal.aborted) this.#deps.onError(error)
      })
      .finally(() => this.#running.delete(running))
    this.#running.add(running)
  }

  async #accept(invitation: Invitation): Promise<void> {
    const { db, users, hiddenInviters } = this.#deps
    const { signal } = this.#stopping
    const { invited, inviter } = invitation
    const user = await this.#turns.run(() => users.get(db.reader, invited))
    if (!user || user.isDeactivated || user.isSuspended || user.isLocked || signal.aborted) return
    if ((await hiddenInviters.of(invited)).has(inviter)) return
    if (invitation.isDirect) await this.#markDirect(invitation)
    let refusal: unknown
    for (const pauseMs of PAUSES_MS) {
      if (pauseMs > 0) await this.#deps.clock.sleep(pauseMs, signal)
      const outcome = await this.#turns.run(() => this.#attempt(invitation, user))
      if (outcome === 'over') return
      refusal = outcome.refusal
    }
    const { roomId } = invitation
    this.#deps.logger.info({ err: refusal, roomId, userId: invited }, 'An invitation could not be accepted')
  }

  /** One attempt. Over: the user is in the room, or the invitation is gone. */
  async #attempt(
    { stored, roomId, invited }: Invitation,
    user: UserRecord,
  ): Promise<'over' | { readonly refusal: MatrixError }> {
    const { db, members, membership, logger } = this.#deps
    if (this.#stopping.signal.aborted) return 'over'
    const member = await members.get(db.reader, stored.roomNid, invited)
    if (member?.eventNid !== stored.eventNid) return 'over'
    const { isAdmin, isShadowBanned } = user
    try {
      await membership.join({ ...actingFor(user), isAdmin, isShadowBanned }, roomId, { isLimited: false })
      return 'over'
    } catch (error) {
      if (!(error instanceof MatrixError)) throw error
      logger.debug({ err: error, roomId, userId: invited }, 'An invitation cannot be accepted yet')
      return { refusal: error }
    }
  }

  /** https://spec.matrix.org/latest/client-server-api/#direct-messaging */
  async #markDirect({ roomId, inviter, invited }: Invitation): Promise<void> {
    const { db, accountData, writer } = this.#deps
    await db.write('mark_direct_room', async (tx) => {
      const direct = (await accountData.get(tx, invited, undefined, 'm.direct')) ?? {}
      const content = withDirectRoom(direct, inviter, roomId)
      if (content) await writer.writeIn(tx, invited, { roomId: undefined, type: 'm.direct', content })
    })
  }
}

/** `m.direct` with the room as one with that person; undefined where it has it already. */
function withDirectRoom(direct: JsonObject, userId: UserId, roomId: RoomId): JsonObject | undefined {
  const known = direct[userId]
  const rooms = Array.isArray(known) ? known : []
  return rooms.includes(roomId) ? undefined : { ...direct, [userId]: [...rooms, roomId] }
}
