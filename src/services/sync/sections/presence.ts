import type { Database } from '../../../storage/database.js'
import type { JsonObject } from '../../../util/json.js'
import type { Presence } from '../../ephemeral/presence.js'
import type { Movements } from '../member-movements.js'
import type { SyncFrame } from '../sync-frame.js'

type PresenceSource = Pick<Presence, 'listChanges' | 'listVisibleChanges'>

/** Who of those that share a room with the user is online. https://spec.matrix.org/latest/client-server-api/#presence */
export class PresenceSection {
  readonly #db: Database
  readonly #presence: PresenceSource

  constructor(db: Database, presence: PresenceSource) {
    this.#db = db
    this.#presence = presence
  }

  /** What has changed, and the presence of those whom the client has not followed so far. */
  async load({ since, now, request }: SyncFrame, { come }: Movements): Promise<JsonObject[]> {
    const { filter, viewer } = request
    if (filter.presence.passesNothing || !filter.presence.allowsType('m.presence')) return []
    const q = this.#db.reader
    const upTo = now.presence
    const changed =
      since === undefined || since.presence < upTo
        ? await this.#presence.listVisibleChanges(q, { since: since?.presence, upTo }, viewer.userId)
        : []
    const newcomers = new Set<string>(come)
    for (const event of changed) newcomers.delete(senderOf(event))
    const present =
      newcomers.size > 0
        ? await this.#presence.listChanges(
            q,
            { since: undefined, upTo },
            [...come].filter((userId) => newcomers.has(userId)),
          )
        : []
    return [...changed, ...present].filter((event) =>
      filter.presence.matches({ type: 'm.presence', sender: senderOf(event) }),
    )
  }
}

function senderOf({ sender }: JsonObject): string {
  return typeof sender === 'string' ? sender : ''
}
