import type { Database } from '../../storage/database.js'
import type { CurrentStateChange, MemberChange } from '../../storage/stores/current-state-writer.js'
import type { Membership } from '../../storage/stores/room-members.js'
import type { StateKeysStore } from '../../storage/stores/state-keys.js'
import type { StateSnapshot } from '../../storage/state-snapshot.js'
import type { Event } from '../../protocol/event.js'
import { serverNameOf, type ServerName } from '../../protocol/ids.js'
import { splitStateKey } from '../../protocol/state-map.js'
import type { EventLookup, PendingEvents } from './pending-events.js'

const MEMBERSHIPS: ReadonlySet<string> = new Set<Membership>(['join', 'invite', 'knock', 'leave', 'ban'])

export interface StateChangeOptions {
  readonly serverName: ServerName
  /** `forget_rooms_on_leave`: who leaves, or is thrown out, forgets the room. */
  readonly forgetsRoomsOnLeave?: boolean | undefined
}

/** Puts the difference of two states into the words of the flat tables. */
export class StateChangeDescriber {
  readonly #db: Database
  readonly #lookup: EventLookup
  readonly #stateKeys: StateKeysStore
  readonly #options: StateChangeOptions

  constructor(
    db: Database,
    parts: { lookup: EventLookup; stateKeys: StateKeysStore },
    options: StateChangeOptions,
  ) {
    this.#db = db
    this.#lookup = parts.lookup
    this.#stateKeys = parts.stateKeys
    this.#options = options
  }

  /** What changes from one state to another. `pending`: events that cannot be read yet. */
  async describe(
    before: StateSnapshot,
    after: StateSnapshot,
    pending: PendingEvents,
  ): Promise<CurrentStateChange[]> {
    if (before === after) return []
    const changes = before.changesTo(after)
    const names = await this.#stateKeys.names(this.#db.reader, [...changes.keys()])
    const involved = [...changes].flatMap(([key, nid]) => [nid ?? [], before.get(key) ?? []].flat())
    const events = await this.#lookup.byNids(involved, pending)
    const eventOf = (nid: number | undefined): Event | undefined =>
      nid === undefined ? undefined : events.get(nid)?.event
    const described: CurrentStateChange[] = []
    for (const [key, nid] of changes) {
      const name = names.get(key)
      if (name === undefined) throw new Error(`State key ${key} has no name`)
      const [type, stateKey] = splitStateKey(name)
      const member =
        type === 'm.room.member' ? this.#member(stateKey, eventOf(nid), eventOf(before.get(key))) : undefined
      described.push({
        type,
        stateKey,
        eventNid: nid ?? null,
        prevEventNid: before.get(key) ?? null,
        ...(member && { member }),
      })
    }
    return described
  }

  /** A member whose event is gone counts as having left. */
  #member(userId: string, event: Event | undefined, previous: Event | undefined): MemberChange | undefined {
    const sender = (event ?? previous)?.sender
    if (sender === undefined) return undefined
    const text = (key: string): string | undefined => {
      const value = event?.content[key]
      // PostgreSQL has no NUL in text.
      return typeof value === 'string' && !value.includes('\u0000') ? value : undefined
    }
    const membership = membershipOf(event) ?? 'leave'
    const isLocal = serverNameOf(userId) === this.#options.serverName
    const isGone = membership === 'leave' || membership === 'ban'
    return {
      membership,
      previous: membershipOf(previous),
      sender,
      displayName: text('displayname'),
      avatarUrl: text('avatar_url'),
      isLocal,
      isForgotten: isLocal && isGone && this.#options.forgetsRoomsOnLeave === true,
    }
  }
}

function membershipOf(event: Event | undefined): Membership | undefined {
  const membership = event?.content['membership']
  return typeof membership === 'string' && MEMBERSHIPS.has(membership)
    ? (membership as Membership)
    : undefined
}
