import type { Clock } from '../../../util/clock.js'
import type { JsonObject, JsonValue } from '../../../util/json.js'
import { invalidParam } from '../../../protocol/errors.js'
import { formatSlidingPos, tryParseSlidingPos } from '../../../protocol/sliding-pos.js'
import type { StreamToken } from '../../../protocol/stream-token.js'
import type { Presence } from '../../ephemeral/presence.js'
import type { Notifier, Watch } from '../../streams/notifier.js'
import type { PresenceState } from '../../../storage/stores/presence.js'
import type { SyncViewer } from '../sync-request.js'
import type { UserRoomsCache } from '../user-rooms.js'
import { isReplaced, unknownPos, type Connections, type ConnectionSession } from './connections.js'
import type { SlidingAnswer, SlidingBuilder } from './sliding-builder.js'
import { pausedIn } from './extensions/paused-extensions.js'
import { parseSlidingBody, type SlidingRequest } from './sliding-request.js'

interface Parts {
  readonly builder: SlidingBuilder
  readonly connections: Connections
  readonly userRooms: UserRoomsCache
  readonly notifier: Notifier
  readonly presence: Pick<Presence, 'onSync' | 'whenStored'>
  /** The position of the stream of thread subscriptions. */
  readonly threads: { position(): number }
  readonly clock: Clock
}

/** Where all streams are that a connection follows. */
export interface SlidingNow {
  readonly stream: StreamToken
  readonly threads: number
}

/** Later drafts have the position in the body. */
function posIn({ pos }: JsonObject): string | undefined {
  return typeof pos === 'string' ? pos : undefined
}

/** The other parameters, which later drafts have in the body too; those in the query count where there are both. */
function paramsIn(
  { timeout, set_presence: presence }: JsonObject,
  { timeoutMs, setPresence }: Pick<RawRequest, 'timeoutMs' | 'setPresence'>,
): { timeoutMs: number; setPresence: PresenceState } {
  return {
    timeoutMs: timeoutMs ?? (typeof timeout === 'number' && timeout > 0 ? timeout : 0),
    setPresence: setPresence ?? presenceIn(presence),
  }
}

function presenceIn(value: JsonValue | undefined): PresenceState {
  if (value === undefined || value === null) return 'online'
  const state = PRESENCE_STATES.find((known) => known === value)
  if (state === undefined) throw invalidParam(`set_presence is one of ${PRESENCE_STATES.join(', ')}`)
  return state
}

/** A request as it comes: the position and the body as sent. */
export interface RawRequest {
  readonly viewer: SyncViewer
  readonly pos: string | undefined
  /** Undefined here and below: the body may say. */
  readonly timeoutMs: number | undefined
  readonly setPresence: PresenceState | undefined
  readonly body: JsonObject
}

const PRESENCE_STATES: readonly PresenceState[] = ['online', 'offline', 'unavailable']
/** No client waits longer for one answer. */
const MAX_TIMEOUT_MS = 10 * 60_000

/**
 * Tells clients what happens in the rooms that they look at.
 * https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/4186-simplified-sliding-sync.md
 */
export class SlidingSync {
  readonly #parts: Parts
  /** `msc3575_enabled`. */
  readonly isEnabled: boolean

  constructor(parts: Parts, options: { readonly isEnabled: boolean }) {
    this.#parts = parts
    this.isEnabled = options.isEnabled
  }

  /**
   * What the client does not have yet. A connection that begins is answered at once; one that goes on when there is
   * something, or with empty hands after the time-out, when the signal aborts, or when the connection's next request
   * comes. Throws `M_UNKNOWN_POS` for a position that is not (or no longer) the client's, `M_BAD_JSON` and
   * `M_INVALID_PARAM` for a body that cannot be understood.
   */
  async wait({ body, ...query }: RawRequest, signal: AbortSignal): Promise<JsonObject> {
    const { viewer } = query
    const rest = { ...query, ...paramsIn(body, query) }
    const { setPresence } = rest
    const posText = rest.pos ?? posIn(body)
    const pos = posText === undefined ? undefined : tryParseSlidingPos(posText)
    const request = { ...rest, ...parseSlidingBody(body, viewer.userId), pos }
    if (posText !== undefined && pos === undefined) throw unknownPos()
    const { connId } = request
    const { connections, notifier, presence } = this.#parts
    const key = { userId: viewer.userId, deviceId: viewer.deviceId ?? ('' as const), connId }
    const session = await connections.open(key, pos)
    const endPresence = presence.onSync(viewer, setPresence)
    const watch = notifier.watch(viewer.userId)
    try {
      await presence.whenStored(viewer.userId)
      const { answer, now } = await this.#follow(request, session, { watch, signal })
      return await this.#finish(request, session, { answer, now })
    } finally {
      watch.close()
      endPresence()
      connections.release(session)
    }
  }

  async #follow(
    request: SlidingRequest,
    session: ConnectionSession,
    { watch, signal }: { watch: Watch; signal: AbortSignal },
  ): Promise<{ answer: SlidingAnswer; now: SlidingNow }> {
    const { builder, clock, notifier, threads } = this.#parts
    const deadline = clock.now() + Math.min(request.timeoutMs, MAX_TIMEOUT_MS)
    const ended = AbortSignal.any([signal, session.superseded])
    for (;;) {
      // What happens from here on wakes the watch; what happened before is covered by the positions.
      watch.rearm()
      await this.#followRooms(request, watch)
      const now = { stream: notifier.currentToken(), threads: threads.position() }
      const answer = await builder.build(request, session.connection, now)
      if (request.pos === undefined || answer.hasNews) return { answer, now }
      if ((await watch.wait(deadline - clock.now(), ended)) === 'woken') continue
      if (isReplaced(session)) await this.#outwait(watch, { deadline, signal })
      return { answer, now }
    }
  }

  /**
   * Waits until the request's time is over. Two clients that share a device and the name of a connection take it from each
   * other: whoever loses it begins anew, which shall not go on as fast as they can.
   */
  async #outwait(
    watch: Watch,
    { deadline, signal }: { readonly deadline: number; readonly signal: AbortSignal },
  ): Promise<void> {
    do watch.rearm()
    while ((await watch.wait(deadline - this.#parts.clock.now(), signal)) === 'woken')
  }

  /** Whoever joins a room later is woken by name and comes here again. */
  async #followRooms({ viewer }: SlidingRequest, watch: Watch): Promise<void> {
    const { notifier, userRooms } = this.#parts
    const { joinedIds } = await userRooms.at(viewer.userId, notifier.currentToken().events)
    watch.follow(userRooms.joinedNow(viewer.userId) ?? joinedIds)
  }

  async #finish(
    { pos, txnId, extensions }: SlidingRequest,
    session: ConnectionSession,
    { answer, now }: { answer: SlidingAnswer; now: SlidingNow },
  ): Promise<JsonObject> {
    const version = await this.#parts.connections.commit(session, answer.changes)
    const echo = txnId === undefined ? {} : { txn_id: txnId }
    // Nobody reads this: the client has sent another request and waits for the answer to that.
    if (version === undefined)
      return { ...echo, pos: pos ? formatSlidingPos(pos) : '', rooms: {}, extensions: {} }
    const { nid: connectionNid } = session.connection
    const paused = pausedIn(pos, extensions)
    return { ...echo, pos: formatSlidingPos({ ...now, connectionNid, version, paused }), ...answer.body }
  }
}
