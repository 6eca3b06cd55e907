import type { Database } from '../../../storage/database.js'
import type { UserId } from '../../../protocol/ids.js'
import type { JsonObject } from '../../../util/json.js'
import type { Presence } from '../../ephemeral/presence.js'
import type { Movements } from '../member-movements.js'
import type { SyncFrame } from '../sync-frame.js'

type PresenceSource = Pick<
  Presence,
  'filterVisible' | 'listPresent' | 'listStates' | 'listStrangers' | 'listVisibleChanges'
>

/** Of more people whom a client meets at once it is told only who is not offline, and nothing of those it waits for. */
const MAX_MET = 100

/** Who of those that share a room with the user is online. https://spec.matrix.org/latest/client-server-api/#presence */
export class PresenceSection {
  readonly #db: Database
  readonly #presence: PresenceSource

  constructor(db: Database, presence: PresenceSource) {
    this.#db = db
    this.#presence = presence
  }

  /**
   * What has changed, and the presence of those whom the client has not followed so far. matrix-js-sdk shows no presence
   * of a member whom it has heard of before it has heard of their presence: it is told of those who are invited, too.
   */
  async load(
    { since, now, request }: SyncFrame,
    { come, found, expected }: Movements,
  ): Promise<JsonObject[]> {
    const { filter, viewer } = request
    if (filter.presence.passesNothing || !filter.presence.allowsType('m.presence')) return []
    const q = this.#db.reader
    const upTo = now.presence
    const changed =
      since === undefined || since.presence < upTo
        ? await this.#presence.listVisibleChanges(q, { since: since?.presence, upTo }, viewer.userId)
        : []
    const told = new Set<string>([viewer.userId, ...changed.map(senderOf)])
    const met = this.#shown([...new Set([...come, ...found])].filter((userId) => !told.has(userId)))
    const visible = await this.#presence.filterVisible(q, viewer.userId, met)
    const invited = expected.size > MAX_MET ? [] : [...expected]
    const strangers = await this.#presence.listStrangers(q, viewer.userId, invited)
    return [...changed, ...this.#presence.listStates(visible), ...strangers].filter((event) =>
      filter.presence.matches({ type: 'm.presence', sender: senderOf(event) }),
    )
  }

  #shown(met: readonly UserId[]): readonly UserId[] {
    if (met.length <= MAX_MET) return met
    const present = new Set(this.#presence.listPresent())
    return met.filter((userId) => present.has(userId))
  }
}

function senderOf({ sender }: JsonObject): string {
  return typeof sender === 'string' ? sender : ''
}
