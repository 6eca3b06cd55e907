import type { RoomId, UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { EventsStore } from '../../storage/stores/events.js'
import type { MemberField, ProfileUpdatesStore } from '../../storage/stores/profile-updates.js'
import type { ProfileRecord, ProfilesStore } from '../../storage/stores/profiles.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomsStore } from '../../storage/stores/rooms.js'
import type { JsonObject } from '../../util/json.js'
import { Semaphore } from '../../util/semaphore.js'
import type { ProfileChange } from '../accounts/profiles.js'
import type { EventSender } from '../events/event-sender.js'

export interface ProfileUpdatesDependencies {
  readonly db: Database
  readonly updates: ProfileUpdatesStore
  readonly profiles: ProfilesStore
  readonly members: RoomMembersStore
  readonly rooms: RoomsStore
  readonly events: EventsStore
  readonly sender: EventSender
  /** Called with what fails while nobody waits. */
  readonly onError: (error: unknown) => void
}

/** Rooms that are written to at a time: their events share commits. */
const CONCURRENCY = 20

/**
 * Carries changes of names and avatars into the memberships of all the user's rooms, in the background. What is under way
 * when the server stops goes on when it starts.
 * https://spec.matrix.org/latest/client-server-api/#events-on-change-of-profile-information
 */
export class ProfileUpdates {
  readonly #deps: ProfileUpdatesDependencies
  /** Users whose memberships are being changed. */
  readonly #running = new Map<UserId, Promise<void>>()
  /** Users whose profile has changed since their memberships were last looked at. */
  readonly #changed = new Set<UserId>()
  readonly #slots = new Semaphore(CONCURRENCY)
  #isStopping = false

  constructor(deps: ProfileUpdatesDependencies) {
    this.#deps = deps
  }

  /** Takes on a change of a profile; returns at once and never fails. */
  onProfileChanged(change: ProfileChange): void {
    const { field, userId } = change
    if (!change.propagate || (field !== 'displayname' && field !== 'avatar_url')) return
    // Others see nothing of what shadow-banned people do.
    if (change.requester.isShadowBanned) return
    this.#start(userId, field)
  }

  /** Takes up what a stop of the server has interrupted. */
  async resume(): Promise<void> {
    const userIds = await this.#deps.updates.listUsers(this.#deps.db.reader)
    for (const userId of userIds) this.#start(userId, undefined)
  }

  /** Resolves when no change is under way any more. */
  async settle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running.values())
  }

  /** Begins no further memberships; what is left is done after the next start. */
  async stop(): Promise<void> {
    this.#isStopping = true
    await this.settle()
  }

  #start(userId: UserId, field: MemberField | undefined): void {
    const before = this.#running.get(userId) ?? Promise.resolve()
    this.#changed.add(userId)
    const running = before
      .then(() => this.#update(userId, field))
      .catch((error: unknown) => {
        this.#deps.onError(error)
      })
      .finally(() => {
        if (this.#running.get(userId) === running) this.#running.delete(userId)
      })
    this.#running.set(userId, running)
  }

  async #update(userId: UserId, field: MemberField | undefined): Promise<void> {
    const { db, updates, profiles } = this.#deps
    if (field !== undefined) await db.write('begin_profile_update', (tx) => updates.insert(tx, userId, field))
    this.#changed.delete(userId)
    if (this.#isOutdated(userId)) return
    const fields = await updates.listFields(db.reader, userId)
    if (fields.length === 0) return
    const profile = await profiles.get(db.reader, userId)
    await this.#spread(userId, fields, profile)
    // A newer change does it all again, with what the profile says then.
    if (this.#isOutdated(userId)) return
    await db.write('finish_profile_update', (tx) => updates.delete(tx, userId, fields))
  }

  /** Whether what is being spread is not worth it any more: there is something newer, or the server stops. */
  #isOutdated(userId: UserId): boolean {
    return this.#isStopping || this.#changed.has(userId)
  }

  async #spread(
    userId: UserId,
    fields: readonly MemberField[],
    profile: ProfileRecord | undefined,
  ): Promise<void> {
    const { db, members, rooms, events } = this.#deps
    const joined = await members.listForUser(db.reader, userId, ['join'])
    const records = await rooms.getByNids(
      db.reader,
      joined.map((member) => member.roomNid),
    )
    const current = await events.getByNids(
      db.reader,
      joined.map((member) => member.eventNid),
    )
    const sends = joined.map(async (member) => {
      const room = records.get(member.roomNid)
      const content = current.get(member.eventNid)?.event.content
      if (room === undefined || content === undefined) return
      await this.#slots.run(async () => {
        if (this.#isOutdated(userId)) return
        await this.#send(userId, room.roomId, withProfile(content, fields, profile))
      })
    })
    await Promise.all(sends)
  }

  /** One room that refuses does not keep the others from hearing of it. */
  async #send(userId: UserId, roomId: RoomId, content: JsonObject): Promise<void> {
    try {
      await this.#deps.sender.send({ userId }, { roomId, type: 'm.room.member', stateKey: userId, content })
    } catch (error) {
      this.#deps.onError(error)
    }
  }
}

/** A membership with the changed fields of a profile. Who authorised the join was of interest then. */
function withProfile(
  content: JsonObject,
  fields: readonly MemberField[],
  profile: ProfileRecord | undefined,
): JsonObject {
  const dropped = new Set<string>([...fields, 'join_authorised_via_users_server'])
  const kept = Object.fromEntries(Object.entries(content).filter(([key]) => !dropped.has(key)))
  const values = { displayname: profile?.displayName, avatar_url: profile?.avatarUrl }
  for (const field of fields) {
    const value = values[field]
    if (value !== undefined) kept[field] = value
  }
  return kept
}
