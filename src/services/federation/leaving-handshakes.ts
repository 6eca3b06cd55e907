import { MatrixError } from '../../protocol/errors.js'
import { buildEvent, type EventSigner } from '../../protocol/event-builder.js'
import type { Event } from '../../protocol/event.js'
import { referenceHash } from '../../protocol/hashes.js'
import type { ServerName } from '../../protocol/ids.js'
import { buildFromTemplate, pduJson, type TemplateUse } from '../../protocol/pdu.js'
import type { StoredEvent } from '../../storage/stores/events.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { Logger } from '../../telemetry/logger.js'
import type { Clock } from '../../util/clock.js'
import type { OutsideMemberships } from '../events/outside-memberships.js'
import { FederationError, type FederationClient } from '../remote/federation-client.js'
import { requireRules, type HandshakeOutcome, type HandshakeWish } from './joining-handshakes.js'
import { firstThatHelps } from './server-choice.js'

export interface LeavingHandshakesDependencies {
  readonly client: Pick<FederationClient, 'request'>
  readonly outside: OutsideMemberships
  readonly clock: Clock
  readonly logger: Logger
  readonly signer: EventSigner
}

const TIMEOUT_MS = 20_000

/**
 * Declines invitations to rooms that this server is not in, and takes knocks at them back.
 * https://spec.matrix.org/latest/server-server-api/#leaving-rooms-rejecting-invites
 */
export class LeavingHandshakes {
  readonly #deps: LeavingHandshakesDependencies

  constructor(deps: LeavingHandshakesDependencies) {
    this.#deps = deps
  }

  /**
   * Ends a membership from outside. Where no server helps, the room is not told, but the user is rid of it: nobody may
   * be kept in an invitation by a server that does not answer.
   * @param before the membership that is to end
   */
  async leave(room: RoomRecord, before: StoredEvent, wish: HandshakeWish): Promise<HandshakeOutcome> {
    const event = (await this.#tell(wish)) ?? this.#make(room, before.event, wish)
    await this.#deps.outside.store(room, event)
    return { room, eventId: event.eventId }
  }

  async #tell(wish: HandshakeWish): Promise<Event | undefined> {
    try {
      return await firstThatHelps(wish.servers, (server) => this.#tellOne(server, wish))
    } catch (error) {
      if (!(error instanceof MatrixError)) throw error
      const { roomId, userId, servers } = wish
      this.#deps.logger.info({ err: error, roomId, userId, servers }, 'No server took a user out of a room')
      return undefined
    }
  }

  async #tellOne(server: ServerName, { roomId, userId, content }: HandshakeWish): Promise<Event> {
    const { client, clock, signer } = this.#deps
    const answer = await client.request({
      destination: server,
      method: 'GET',
      path: `/_matrix/federation/v1/make_leave/${encodeURIComponent(roomId)}/${encodeURIComponent(userId)}`,
      timeoutMs: TIMEOUT_MS,
      ignoreBackoff: true,
    })
    const rules = requireRules(answer['room_version'])
    const use: TemplateUse = { roomId, userId, membership: 'leave', content, originServerTs: clock.now() }
    const event = buildFromTemplate(rules, answer['event'], { use, signer })
    await this.#send(server, event)
    return event
  }

  async #send(server: ServerName, event: Event): Promise<void> {
    const { client } = this.#deps
    const send = (version: 'v1' | 'v2'): Promise<unknown> =>
      client.request({
        destination: server,
        method: 'PUT',
        path: `/_matrix/federation/${version}/send_leave/${encodeURIComponent(event.roomId)}/${encodeURIComponent(event.eventId)}`,
        body: pduJson(event),
        timeoutMs: TIMEOUT_MS,
        ignoreBackoff: true,
      })
    try {
      await send('v2')
    } catch (error) {
      if (!(error instanceof FederationError) || !error.isUnsupported) throw error
      await send('v1')
    }
  }

  /** A leave that follows what is known of the room: the membership that it ends. */
  #make({ rules, roomId }: RoomRecord, before: Event, { userId, content }: HandshakeWish): Event {
    const reference = {
      eventId: before.eventId,
      ...(rules.eventIdFormat === 'v1' && { sha256: referenceHash(before) }),
    }
    return buildEvent(
      rules,
      {
        roomId,
        type: 'm.room.member',
        sender: userId,
        stateKey: userId,
        content: { ...content, membership: 'leave' },
        prevEvents: [reference],
        authEvents: [reference],
        depth: before.depth + 1,
        originServerTs: this.#deps.clock.now(),
      },
      this.#deps.signer,
    )
  }
}
