import { formatStreamToken, type StreamToken } from '../../protocol/stream-token.js'
import type { Clock } from '../../util/clock.js'
import type { JsonObject } from '../../util/json.js'
import { Semaphore } from '../../util/semaphore.js'
import type { Presence } from '../ephemeral/presence.js'
import type { Notifier, Watch } from '../streams/notifier.js'
import type { SyncBuilder, SyncResult } from './sync-builder.js'
import type { SyncRequest } from './sync-request.js'
import type { UserRoomsCache } from './user-rooms.js'

interface Parts {
  readonly builder: SyncBuilder
  readonly userRooms: UserRoomsCache
  readonly notifier: Notifier
  readonly presence: Pick<Presence, 'onSync' | 'whenStored'>
  readonly clock: Clock
}

/** No client waits longer for one answer. */
const MAX_TIMEOUT_MS = 10 * 60_000
/** Whole pictures are large: those who wait for news shall not wait behind them. */
const MAX_CONCURRENT_WHOLE = 4

/** Tells clients what happens. https://spec.matrix.org/latest/client-server-api/#syncing */
export class Sync {
  readonly #parts: Parts
  readonly #whole = new Semaphore(MAX_CONCURRENT_WHOLE)

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /**
   * What the client does not have yet. Without a token, or when it asks for the full state, at once; otherwise when there
   * is something, or with empty hands after the time-out, or when the signal aborts.
   */
  async wait(request: SyncRequest, signal: AbortSignal): Promise<JsonObject> {
    const { viewer, setPresence, since, fullState } = request
    const device = { userId: viewer.userId, deviceId: viewer.deviceId ?? request.presentDeviceId }
    const endPresence = this.#parts.presence.onSync(device, setPresence)
    const watch = this.#parts.notifier.watch(viewer.userId)
    try {
      // Who comes online by this sync is told now, not by waking the next one.
      await this.#parts.presence.whenStored(viewer.userId)
      if (since === undefined || fullState) return toJson(await this.#whole.run(() => this.#once(request)))
      return toJson(await this.#follow(request, { since, watch, signal }))
    } finally {
      watch.close()
      endPresence()
    }
  }

  #once(request: SyncRequest): Promise<SyncResult> {
    return this.#parts.builder.build(request, request.since, this.#parts.notifier.currentToken())
  }

  async #follow(
    request: SyncRequest,
    { since, watch, signal }: { since: StreamToken; watch: Watch; signal: AbortSignal },
  ): Promise<SyncResult> {
    const { builder, clock, notifier } = this.#parts
    const deadline = clock.now() + Math.min(request.timeoutMs, MAX_TIMEOUT_MS)
    for (let from = since; ;) {
      // What happens from here on wakes the watch; what happened before is covered by the token.
      watch.rearm()
      await this.#followRooms(request, watch)
      const now = notifier.currentToken()
      const result = await builder.build(request, from, now)
      if (result.hasNews) return result
      const outcome = await watch.wait(deadline - clock.now(), signal)
      if (outcome !== 'woken') return result
      from = result.nextBatch
    }
  }

  /** Whoever joins a room later is woken by name and comes here again. */
  async #followRooms({ viewer }: SyncRequest, watch: Watch): Promise<void> {
    const { notifier, userRooms } = this.#parts
    const { joinedIds } = await userRooms.at(viewer.userId, notifier.currentToken().events)
    watch.follow(userRooms.joinedNow(viewer.userId) ?? joinedIds)
  }
}

function toJson({ nextBatch, body }: SyncResult): JsonObject {
  return { next_batch: formatStreamToken(nextBatch), ...body }
}
