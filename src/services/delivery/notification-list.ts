import { invalidParam } from '../../protocol/errors.js'
import type { JsonObject } from '../../util/json.js'
import type { ClientEvents, EventReader } from '../events/client-events.js'
import type { NotifiedEvents, UserNotification } from './notified-events.js'

export interface NotificationListQuery {
  /** The `next_token` of the page before. */
  readonly from: string | undefined
  readonly limit: number | undefined
  readonly onlyHighlights: boolean
}

const DEFAULT_LIMIT = 50
const MAX_LIMIT = 500
const MAX_ROUNDS = 10

/** What users were notified of. https://spec.matrix.org/latest/client-server-api/#listing-notifications */
export class NotificationList {
  readonly #notified: Pick<NotifiedEvents, 'page'>
  readonly #clientEvents: Pick<ClientEvents, 'serialize'>

  constructor(parts: {
    readonly notified: Pick<NotifiedEvents, 'page'>
    readonly clientEvents: Pick<ClientEvents, 'serialize'>
  }) {
    this.#notified = parts.notified
    this.#clientEvents = parts.clientEvents
  }

  /** A page, the newest first. Throws `M_INVALID_PARAM` for bad tokens and limits. */
  async list(reader: EventReader, query: NotificationListQuery): Promise<JsonObject> {
    const limit = pageSize(query.limit)
    const upTo = query.from === undefined ? Number.MAX_SAFE_INTEGER : parseToken(query.from) - 1
    // One more than asked for shows whether there is another page.
    const page = await this.#load(reader, { upTo, limit: limit + 1, onlyHighlights: query.onlyHighlights })
    const shown = page.slice(0, limit)
    const events = await this.#clientEvents.serialize(
      reader,
      shown.map(({ stored }) => stored),
      { format: 'sync' },
    )
    const last = shown.at(-1)
    return {
      notifications: shown.map(({ stored, outcome, isRead }, index) => ({
        actions: [...outcome.actions],
        event: events[index]!,
        // No rule has one; some clients expect it nevertheless.
        profile_tag: '',
        read: isRead,
        room_id: stored.event.roomId,
        ts: stored.receivedTs,
      })),
      ...(page.length > limit && last && { next_token: String(last.position) }),
    }
  }

  /** What is left out of a page, being redacted since or of ignored users, must not make it look like the last. */
  async #load(
    { userId }: EventReader,
    { upTo, limit, onlyHighlights }: { upTo: number; limit: number; onlyHighlights: boolean },
  ): Promise<UserNotification[]> {
    const page: UserNotification[] = []
    let before = upTo
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const range = { after: 0, upTo: before, limit, onlyHighlights }
      const { notifications, reached } = await this.#notified.page(userId, range)
      page.push(...notifications)
      if (page.length >= limit || reached === undefined) break
      before = reached - 1
    }
    return page.slice(0, limit)
  }
}

function pageSize(limit: number | undefined): number {
  if (limit === undefined) return DEFAULT_LIMIT
  if (limit < 1) throw invalidParam('limit must be at least 1')
  return Math.min(limit, MAX_LIMIT)
}

function parseToken(token: string): number {
  const position = /^\d{1,15}$/.test(token) ? Number(token) : undefined
  if (position === undefined) throw invalidParam('from is not a valid token')
  return position
}
