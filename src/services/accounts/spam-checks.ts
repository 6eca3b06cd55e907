import type { AntispamClient } from '../../net/clients/antispam-client.js'
import { HttpFailure } from '../../net/http-failure.js'
import { PassedOnError } from '../../protocol/errors.js'
import type { Event } from '../../protocol/event.js'
import type { RoomId, UserId } from '../../protocol/ids.js'
import { pduJson } from '../../protocol/pdu.js'
import type { Logger } from '../../telemetry/logger.js'
import type { Clock } from '../../util/clock.js'
import type { JsonObject } from '../../util/json.js'
import type { ClientInfo } from './requester.js'

/** One thing that a service is asked. */
export interface SpamCallback {
  readonly name: string
  /** Without an answer, it is allowed. */
  readonly failsOpen: boolean
  /** Nobody waits for the answer; it is allowed. */
  readonly isOnlyTold: boolean
}

export interface SpamService {
  readonly client: Pick<AntispamClient, 'ask'>
  readonly callbacks: readonly SpamCallback[]
}

/** A session that is about to begin. */
export interface BeginningSession {
  readonly userId: UserId
  readonly deviceId: string | undefined
  readonly displayName: string | undefined
  readonly client: ClientInfo | undefined
  /** Where somebody has signed on. */
  readonly provider: string | undefined
}

interface ShownUser {
  readonly userId: UserId
  readonly displayName: string | undefined
  readonly avatarUrl: string | undefined
}

/** What a service need not know that no client gets to see. */
const HIDDEN_FIELDS = ['auth_events', 'prev_events', 'hashes', 'signatures', 'depth', 'origin', 'prev_state']
/** For so long, a service that does not answer is not asked about what is allowed then anyway. */
const SPARED_MS = 30_000
/** More are not told at once. */
const MAX_TOLD = 1_000

/**
 * Services that say what is spam, by the callbacks of Synapse's modules. What they refuse is refused with what they answer:
 * every method rejects with a 403 then, and where they do not answer, unless that is to count for nothing.
 */
export class SpamChecks {
  readonly #services: readonly SpamService[]
  readonly #logger: Pick<Logger, 'warn'>
  readonly #exempt: UserId | undefined
  readonly #clock: Pick<Clock, 'now'>
  /** Until when a service is spared that has kept this server waiting. */
  readonly #sparedUntil = new Map<SpamService['client'], number>()
  #told = 0

  /** `exempt`: who speaks for the server; about whose rooms nobody is asked. */
  constructor(
    services: readonly SpamService[],
    parts: {
      readonly logger: Pick<Logger, 'warn'>
      readonly clock: Pick<Clock, 'now'>
      readonly exempt: UserId | undefined
    },
  ) {
    this.#services = services
    this.#logger = parts.logger
    this.#clock = parts.clock
    this.#exempt = parts.exempt
  }

  /** `roomId`: undefined where the room is yet to be made. */
  async mayInvite(inviter: UserId, invited: readonly UserId[], roomId: RoomId | undefined): Promise<void> {
    if (inviter === this.#exempt) return
    for (const invitee of invited) {
      const body = { inviter, invitee, room_id: roomId ?? '' }
      await this.#check('user_may_invite', body, 'Invites have been disabled on this server')
    }
  }

  async mayInviteAddress(
    inviter: UserId,
    { medium, address }: { readonly medium: string; readonly address: string },
    roomId: RoomId,
  ): Promise<void> {
    const body = { inviter, medium, address, room_id: roomId }
    await this.#check('user_may_send_3pid_invite', body, 'Cannot send threepid invite')
  }

  /** An invitation by another server. */
  async mayBeInvited(event: Event): Promise<void> {
    const message = 'This user is not permitted to send invites to this server/user'
    await this.#check('federated_user_may_invite', { event: clientJson(event) }, message)
  }

  async mayJoin(user: UserId, room: RoomId, isInvited: boolean): Promise<void> {
    if (user === this.#exempt) return
    const body = { user, room, is_invited: isInvited }
    await this.#check('user_may_join_room', body, 'Not allowed to join this room')
  }

  async mayCreateRoom(userId: UserId): Promise<void> {
    if (userId === this.#exempt) return
    await this.#check('user_may_create_room', { user_id: userId }, 'You are not permitted to create rooms')
  }

  async mayCreateAlias(userId: UserId, alias: string): Promise<void> {
    const body = { user_id: userId, room_alias: alias }
    await this.#check('user_may_create_room_alias', body, 'This user is not permitted to create this alias')
  }

  async mayPublish(userId: UserId, roomId: RoomId): Promise<void> {
    const message = 'This user is not permitted to publish rooms to the room list'
    await this.#check('user_may_publish_room', { user_id: userId, room_id: roomId }, message)
  }

  async mayLogIn({ userId, deviceId, displayName, client, provider }: BeginningSession): Promise<void> {
    const body = {
      user_id: userId,
      device_id: deviceId ?? null,
      initial_display_name: displayName ?? null,
      request_info: client === undefined ? [] : [[client.userAgent ?? null, client.ip]],
      auth_provider_id: provider ?? null,
    }
    await this.#check('check_login_for_spam', body, 'Login was blocked by the server')
  }

  /** Of the users that somebody has found, those that may be shown. */
  async showable<T extends ShownUser>(users: readonly T[], requester: UserId): Promise<readonly T[]> {
    if (!this.#asks('check_username_for_spam')) return users
    const verdicts = await Promise.all(
      users.map(async ({ userId, displayName, avatarUrl }) => {
        const profile = { user_id: userId, display_name: displayName ?? null, avatar_url: avatarUrl ?? null }
        const body = { user_profile: profile, requester_id: requester }
        return this.#check('check_username_for_spam', body, '').then(
          () => true,
          () => false,
        )
      }),
    )
    return users.filter((_user, index) => verdicts[index])
  }

  async checkEvent(event: Event): Promise<void> {
    if (!this.#asks('check_event_for_spam')) return
    const body = { event: clientJson(event) }
    await this.#check('check_event_for_spam', body, 'This message has been rejected as probable spam')
  }

  #asks(name: string): boolean {
    return this.#services.some(({ callbacks }) => callbacks.some((callback) => callback.name === name))
  }

  async #check(name: string, body: JsonObject, message: string): Promise<void> {
    for (const { client, callbacks } of this.#services) {
      const callback = callbacks.find((each) => each.name === name)
      if (callback?.isOnlyTold) this.#tell(client, { name, body })
      else if (callback !== undefined) await this.#ask(client, callback, { body, message })
    }
  }

  async #ask(
    client: SpamService['client'],
    { name, failsOpen }: SpamCallback,
    { body, message }: { body: JsonObject; message: string },
  ): Promise<void> {
    // Else every event of a busy server would wait as long again.
    if (failsOpen && this.#clock.now() < (this.#sparedUntil.get(client) ?? 0)) return
    let refusal: JsonObject
    try {
      const verdict = await client.ask(name, body)
      if (!verdict.isSpam) return
      refusal = verdict.body
    } catch (error) {
      // The server stops: nothing has been said.
      if (error instanceof HttpFailure && error.kind === 'aborted') throw error
      this.#logger.warn(
        { reason: (error as Error).message, callback: name },
        'A service did not say what is spam',
      )
      if (error instanceof HttpFailure && error.kind === 'timeout') {
        this.#sparedUntil.set(client, this.#clock.now() + SPARED_MS)
      }
      if (failsOpen) return
      refusal = { errcode: 'M_UNKNOWN', error: 'The service that says what is spam does not answer' }
    }
    throw toError(refusal, message)
  }

  #tell(client: SpamService['client'], { name, body }: { name: string; body: JsonObject }): void {
    if (this.#told >= MAX_TOLD) {
      this.#logger.warn({ callback: name }, 'A service that is told of what happens does not keep up')
      return
    }
    this.#told += 1
    client
      .ask(name, body)
      .catch((error: unknown) => {
        this.#logger.warn({ reason: (error as Error).message, callback: name }, 'A service could not be told')
      })
      .finally(() => (this.#told -= 1))
  }
}

/** What the service has answered is what the client gets. */
function toError({ errcode, error, ...fields }: JsonObject, message: string): PassedOnError {
  const code = typeof errcode === 'string' ? errcode : 'M_FORBIDDEN'
  return new PassedOnError(code, typeof error === 'string' ? error : message, { status: 403, fields })
}

function clientJson(event: Event): JsonObject {
  const json = { ...pduJson(event), room_id: event.roomId, event_id: event.eventId }
  return Object.fromEntries(Object.entries(json).filter(([key]) => !HIDDEN_FIELDS.includes(key)))
}
