import { localpartOf, serverNameOf, type ServerName, type UserId } from '../../protocol/ids.js'
import type { Database, Query, Tx } from '../../storage/database.js'
import type { CurrentStateStore } from '../../storage/stores/current-state.js'
import type { EventsStore } from '../../storage/stores/events.js'
import type { ProfilesStore } from '../../storage/stores/profiles.js'
import {
  USER_DIRECTORY_STATE_TYPES,
  type DirectoryUser,
  type RemoteMembership,
  type UserDirectoryStore,
} from '../../storage/stores/user-directory.js'
import type { StreamName } from '../../storage/streams/stream-names.js'
import type { StreamIdGenerator } from '../../storage/streams/stream-id-generator.js'
import type { Clock } from '../../util/clock.js'
import { SingleFlight } from '../../util/single-flight.js'
import { foldText, nameTermsOf } from '../../util/words.js'
import type { PositionSink } from '../streams/notifier.js'
import { DelayedRuns } from '../tasks/delayed-runs.js'
import { describeRoom, readStateContents, storableText } from './room-descriptions.js'

export interface DirectoryUsersDependencies {
  readonly db: Database
  readonly clock: Clock
  readonly userDirectory: UserDirectoryStore
  readonly profiles: ProfilesStore
  readonly currentState: CurrentStateStore
  readonly events: EventsStore
  readonly eventStream: Pick<StreamIdGenerator, 'position'>
  readonly serverName: ServerName
  readonly onError: (error: unknown) => void
}

/** Changes that are looked at in one transaction. */
const BATCH = 1_000
/** What happens is taken in together, this long after the first of it; whoever searches does not wait for that. */
const DELAY_MS = 1_000
/** Batches that a search waits for: usually there is one, with little in it. */
const MAX_BATCHES_OF_SEARCH = 20

/**
 * Keeps what people are found by up with their profiles and, for people of other servers, their memberships; and which
 * rooms are open to everybody with the state of rooms.
 */
export class DirectoryUsers implements PositionSink {
  readonly #deps: DirectoryUsersDependencies
  readonly #flights = new SingleFlight<boolean>()
  readonly #runs: DelayedRuns

  constructor(deps: DirectoryUsersDependencies) {
    this.#deps = deps
    const { clock, onError } = deps
    const run = async (signal: AbortSignal): Promise<void> => {
      // What comes while this runs is taken in by the next run, together.
      const target = deps.eventStream.position()
      while (!signal.aborted && (await this.#takeIn(target))) continue
    }
    this.#runs = new DelayedRuns({ clock, onError, delayMs: DELAY_MS, run })
  }

  onNewPosition(stream: StreamName): void {
    if (stream === 'events') this.#runs.schedule()
  }

  /** Begins with what has happened while nobody was looking. */
  start(): void {
    this.#runs.schedule()
  }

  async stop(): Promise<void> {
    await this.#runs.stop()
  }

  /** Takes in what is committed, unless that would take long: then what there is must do. */
  async catchUp(): Promise<void> {
    // A flight that is on its way may have begun before the change that the caller knows of.
    await this.#flights.peek('take in')
    for (let round = 0; round < MAX_BATCHES_OF_SEARCH; round++) if (!(await this.#takeIn())) return
  }

  /** One batch; false when there was nothing to do, but for what lies behind a position. */
  #takeIn(until = Infinity): Promise<boolean> {
    return this.#flights.run('take in', async () => {
      const { db, profiles, userDirectory, eventStream } = this.#deps
      const changes = await profiles.listChanges(db.reader, 1)
      const isBehind = (await userDirectory.getPosition(db.reader)) < Math.min(until, eventStream.position())
      if (changes.length === 0 && !isBehind) return false
      const target = eventStream.position()
      await db.write('update_user_directory', async (tx) => {
        await this.#takeInProfiles(tx)
        await this.#takeInState(tx, target)
      })
      return true
    })
  }

  async #takeInProfiles(tx: Tx): Promise<void> {
    const { profiles, userDirectory } = this.#deps
    const changes = await profiles.listChanges(tx, BATCH)
    if (changes.length === 0) return
    const userIds = [...new Set(changes.map(({ userId }) => userId))]
    const known = await profiles.getMany(tx, userIds)
    await userDirectory.put(
      tx,
      [...known].map(([userId, profile]) => this.#describe(userId, profile)),
    )
    await userDirectory.delete(
      tx,
      userIds.filter((userId) => !known.has(userId)),
    )
    await profiles.deleteChanges(
      tx,
      changes.map(({ id }) => id),
    )
  }

  async #takeInState(tx: Tx, target: number): Promise<void> {
    const { userDirectory, serverName } = this.#deps
    const from = await userDirectory.getPosition(tx)
    if (from >= target) return
    const { roomNids, members, upTo } = await userDirectory.listChanges(tx, { from, to: target }, BATCH)
    await this.#judgeRooms(tx, roomNids)
    await this.#takeInRemote(
      tx,
      members.filter((userId) => serverNameOf(userId) !== serverName),
    )
    await userDirectory.setPosition(tx, upTo)
  }

  async #judgeRooms(tx: Tx, roomNids: readonly number[]): Promise<void> {
    if (roomNids.length === 0) return
    const types = USER_DIRECTORY_STATE_TYPES.filter((type) => type !== 'm.room.member')
    const contents = await readStateContents(tx, this.#deps, { roomNids, types })
    const open: number[] = []
    const closed: number[] = []
    for (const [roomNid, state] of contents) {
      const { joinRule, worldReadable } = describeRoom(roomNid, state)
      const list = joinRule === 'public' || worldReadable ? open : closed
      list.push(roomNid)
    }
    await this.#deps.userDirectory.setOpen(tx, { open, closed })
  }

  async #takeInRemote(tx: Tx, userIds: readonly UserId[]): Promise<void> {
    if (userIds.length === 0) return
    const { userDirectory } = this.#deps
    const best = await this.#bestMemberships(tx, userIds)
    await userDirectory.put(
      tx,
      [...best.values()].map((membership) => this.#describe(membership.userId, membership)),
    )
    await userDirectory.delete(
      tx,
      userIds.filter((userId) => !best.has(userId)),
    )
  }

  /** What everybody may see of people before what only some may, and of that the newest. */
  async #bestMemberships(q: Query, userIds: readonly UserId[]): Promise<Map<UserId, RemoteMembership>> {
    const best = new Map<UserId, RemoteMembership>()
    for (const membership of await this.#deps.userDirectory.listMemberships(q, userIds)) {
      const known = best.get(membership.userId)
      if (known === undefined || isBetter(membership, known)) best.set(membership.userId, membership)
    }
    return best
  }

  #describe(
    userId: UserId,
    profile: { readonly displayName: string | undefined; readonly avatarUrl: string | undefined },
  ): DirectoryUser {
    const displayName = storableText(profile.displayName)
    return {
      userId,
      displayName,
      avatarUrl: storableText(profile.avatarUrl),
      isLocal: serverNameOf(userId) === this.#deps.serverName,
      foldedName: foldText(displayName ?? '').trim(),
      foldedLocalpart: foldText(localpartOf(userId)),
      terms: [...new Set([...nameTermsOf(displayName ?? ''), ...nameTermsOf(userId)])],
    }
  }
}

function isBetter(one: RemoteMembership, other: RemoteMembership): boolean {
  if (one.isOpen !== other.isOpen) return one.isOpen
  return one.streamOrdering > other.streamOrdering
}
