import { forbidden, invalidParam, MatrixError } from '../../protocol/errors.js'
import { parseUserId, type EventId, type RoomAlias, type RoomId, type UserId } from '../../protocol/ids.js'
import { roomCreators } from '../../protocol/power-levels.js'
import { getRoomVersionRules, type RoomVersionRules } from '../../protocol/room-versions.js'
import type { Database } from '../../storage/database.js'
import type { DirectoryStore } from '../../storage/stores/directory.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { ProfilesStore } from '../../storage/stores/profiles.js'
import type { PublicRoomsStore } from '../../storage/stores/public-rooms.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import { SingleFlight } from '../../util/single-flight.js'
import type { Requester } from '../accounts/requester.js'
import type { SpamChecks } from '../accounts/spam-checks.js'
import { checkNotSuspended } from '../accounts/suspension.js'
import type { BatchDraft, EventSender, SendInput } from '../events/event-sender.js'
import type { RoomState } from '../events/room-state.js'
import { newAliases, withoutAlias } from './canonical-aliases.js'
import { memberContent } from './member-content.js'
import { createRoomContent, unsupportedRoomVersion } from './room-creation.js'
import type { RoomPowers } from './room-powers.js'
import { initialPowerLevels, type StateDraft } from './room-presets.js'
import type { RoomSuccession } from './room-succession.js'
import { pretendedRoomId } from './shadow-bans.js'
import { MOVED_TYPES, closedLevels, upgradedLevels, type UpgradedLevels } from './upgrade-power-levels.js'

export interface RoomUpgradesDependencies {
  readonly db: Database
  readonly directory: DirectoryStore
  readonly publicRooms: PublicRoomsStore
  readonly members: RoomMembersStore
  readonly events: EventsStore
  readonly profiles: ProfilesStore
  readonly roomState: RoomState
  /** Services that say what is spam; without it, there are none. */
  readonly spam?: Pick<SpamChecks, 'mayCreateRoom'> | undefined
  readonly powers: RoomPowers
  readonly sender: EventSender
  readonly succession: RoomSuccession
}

export interface UpgradeInput {
  readonly newVersion: string
  /** User IDs, not checked yet; mean something in room versions that can have several creators. */
  readonly additionalCreators: readonly string[]
}

const BANS_PER_BATCH = 100

/** The old room, as read before anything changes. */
interface OldRoom {
  readonly room: RoomRecord
  readonly state: readonly StoredEvent[]
  readonly aliases: readonly RoomAlias[]
}

/** What the new room is to be. */
interface NewRoom {
  readonly rules: RoomVersionRules
  readonly additional: readonly UserId[]
  readonly levels: UpgradedLevels
  /** Where the new room's ID is chosen before it is made, that and the event that ends the old one. */
  readonly named?: { readonly roomId: RoomId; readonly lastEventId: EventId } | undefined
}

/** Replaces rooms by rooms of other versions. https://spec.matrix.org/latest/client-server-api/#room-upgrades */
export class RoomUpgrades {
  readonly #deps: RoomUpgradesDependencies
  /** The same upgrade, asked for twice at once, is one. */
  readonly #flights = new SingleFlight<RoomId>()

  constructor(deps: RoomUpgradesDependencies) {
    this.#deps = deps
  }

  /**
   * Makes the new room, moves over what can be, and closes the old one. Resolves with the new room's ID. Throws
   * `M_UNSUPPORTED_ROOM_VERSION`, `M_NOT_FOUND`, `M_FORBIDDEN`, `M_INVALID_PARAM`, `M_USER_SUSPENDED`.
   */
  async upgrade(requester: Requester, roomId: RoomId, input: UpgradeInput): Promise<RoomId> {
    checkNotSuspended(requester)
    const rules = getRoomVersionRules(input.newVersion)
    if (!rules) throw unsupportedRoomVersion()
    const additional = rules.privilegedCreators ? parseCreators(input.additionalCreators) : []
    const room = await this.#deps.roomState.requireRoom(roomId)
    const mayUpgrade = await this.#deps.powers.maySendState(room, requester.userId, 'm.room.tombstone')
    if (!mayUpgrade) throw forbidden('You cannot upgrade this room')
    if (requester.isShadowBanned) return pretendedRoomId()
    await this.#deps.spam?.mayCreateRoom(requester.userId)
    return this.#flights.run(`${room.roomNid} ${requester.userId} ${rules.version}`, () =>
      this.#upgrade(requester.userId, room, { rules, additional }),
    )
  }

  async #upgrade(
    userId: UserId,
    room: RoomRecord,
    { rules, additional }: { rules: RoomVersionRules; additional: readonly UserId[] },
  ): Promise<RoomId> {
    const old = await this.#read(room)
    const creators = [userId, ...additional.filter((one) => one !== userId)] as const
    const levels = upgradedLevels({
      content: contentOf(old, 'm.room.power_levels') ?? this.#defaultLevels(old),
      oldRules: room.rules,
      newRules: rules,
      oldCreators: creatorsWithInfinitePower(old),
      newCreators: creators,
    })
    const roomId = await this.#replace(userId, old, { rules, additional, levels })
    await this.#close(userId, old)
    this.#deps.succession.onJoinedSuccessor(userId, room.roomId, roomId)
    return roomId
  }

  /**
   * Makes the new room and ends the old one with a tombstone. Each names the other: the new room the tombstone, where its
   * own ID is known before it is made.
   */
  async #replace(userId: UserId, old: OldRoom, plan: NewRoom): Promise<RoomId> {
    const { sender } = this.#deps
    if (plan.rules.roomIdIsCreateHash) {
      const roomId = await this.#makeRoom(userId, old, plan)
      await sender.send({ userId }, tombstoneOf(old, roomId))
      return roomId
    }
    const roomId = sender.newRoomId()
    const beforehand = async (lastEventId: EventId): Promise<void> => {
      await this.#makeRoom(userId, old, { ...plan, named: { roomId, lastEventId } })
    }
    await sender.send({ userId }, { ...tombstoneOf(old, roomId), beforehand })
    return roomId
  }

  /** The new room with all that moves there. */
  async #makeRoom(userId: UserId, old: OldRoom, plan: NewRoom): Promise<RoomId> {
    const roomId = await this.#createRoom(userId, old, plan)
    await this.#moveBans(userId, old.room, roomId)
    const { final } = plan.levels
    if (final) {
      const draft = { roomId, type: 'm.room.power_levels', stateKey: '', content: final }
      await this.#deps.sender.send({ userId }, draft)
    }
    return roomId
  }

  async #read(room: RoomRecord): Promise<OldRoom> {
    const { db, directory, roomState } = this.#deps
    const types = [
      ...MOVED_TYPES,
      'm.room.create',
      'm.room.power_levels',
      'm.room.canonical_alias',
      ...(room.roomType === 'm.space' ? ['m.space.child'] : []),
    ]
    const [state, aliases] = await Promise.all([
      roomState.getState(room.roomId, types),
      directory.listForRoom(db.reader, room.roomNid),
    ])
    return { room, state, aliases }
  }

  async #createRoom(userId: UserId, old: OldRoom, how: NewRoom): Promise<RoomId> {
    const { db, directory, publicRooms, profiles, sender } = this.#deps
    const profile = await profiles.get(db.reader, userId)
    const wasPublished = await publicRooms.isPublished(db.reader, old.room.roomNid)
    const drafts: BatchDraft[] = [
      { type: 'm.room.member', stateKey: userId, content: memberContent('join', {}, profile) },
      { type: 'm.room.power_levels', stateKey: '', content: how.levels.initial },
      ...movedAlias(old),
      ...movedState(old),
      ...plainGuestAccess(old),
    ]
    const { roomId } = await sender.createRoom(userId, {
      rules: how.rules,
      roomId: how.named?.roomId,
      createContent: createRoomContent(userId, how.rules, {
        content: predecessorContent(old, how.named?.lastEventId),
        trusted: how.additional,
      }),
      drafts: () => drafts,
      isPublic: wasPublished,
      inTransaction: async (tx, room) => {
        await directory.moveAll(tx, old.room.roomNid, room.roomNid)
        if (wasPublished) await publicRooms.setPublished(tx, old.room.roomNid, false)
      },
    })
    return roomId
  }

  async #moveBans(userId: UserId, old: RoomRecord, roomId: RoomId): Promise<void> {
    const { db, members, events, sender } = this.#deps
    const banned = await members.listForRoom(db.reader, old.roomNid, ['ban'])
    for (let start = 0; start < banned.length; start += BANS_PER_BATCH) {
      const batch = banned.slice(start, start + BANS_PER_BATCH)
      const stored = await events.getByNids(
        db.reader,
        batch.map((member) => member.eventNid),
      )
      const drafts = batch.map((member) => {
        const reason = stored.get(member.eventNid)?.event.content['reason']
        const content = { membership: 'ban', ...(typeof reason === 'string' && { reason }) }
        return { type: 'm.room.member', stateKey: member.userId, content }
      })
      await sender.sendBatch({ userId }, roomId, drafts)
    }
  }

  /** What the requester may do of it. */
  async #close(userId: UserId, old: OldRoom): Promise<void> {
    const canonical = contentOf(old, 'm.room.canonical_alias')
    const left = canonical && withoutAliases(canonical, old.aliases)
    const levels = contentOf(old, 'm.room.power_levels') ?? this.#defaultLevels(old)
    const closed = closedLevels(old.room.rules, levels)
    for (const [type, content] of [
      ['m.room.canonical_alias', left],
      ['m.room.power_levels', closed],
    ] as const) {
      if (content === undefined) continue
      try {
        await this.#deps.sender.send({ userId }, { roomId: old.room.roomId, type, stateKey: '', content })
      } catch (error) {
        if (!(error instanceof MatrixError)) throw error
      }
    }
  }

  #defaultLevels({ room }: OldRoom): JsonObject {
    return initialPowerLevels({ rules: room.rules, creator: room.creator, trusted: [], overrides: [] })
  }
}

function contentOf({ state }: OldRoom, type: string): JsonObject | undefined {
  return state.find(({ event }) => event.type === type && event.stateKey === '')?.event.content
}

function parseCreators(texts: readonly string[]): UserId[] {
  return texts.map((text) => {
    const userId = parseUserId(text)
    if (userId === undefined) throw invalidParam('additional_creators must be user IDs')
    return userId
  })
}

function creatorsWithInfinitePower({ room, state }: OldRoom): string[] {
  if (!room.rules.privilegedCreators) return []
  const create = state.find(({ event }) => event.type === 'm.room.create')?.event
  return create ? roomCreators(room.rules, create) : []
}

function tombstoneOf({ room }: OldRoom, successor: RoomId): SendInput {
  const content = { body: 'This room has been replaced', replacement_room: successor }
  return { roomId: room.roomId, type: 'm.room.tombstone', stateKey: '', content }
}

/** What the create event of the new room says of the old one, and keeps of its. */
function predecessorContent(old: OldRoom, lastEventId: EventId | undefined): JsonObject {
  const create = contentOf(old, 'm.room.create') ?? {}
  const { type } = create
  const federate = create['m.federate']
  return {
    ...(typeof type === 'string' && { type }),
    ...(federate === false && { 'm.federate': false }),
    predecessor: { room_id: old.room.roomId, ...(lastEventId !== undefined && { event_id: lastEventId }) },
  }
}

function movedState({ state }: OldRoom): StateDraft[] {
  return state.flatMap(({ event }) => {
    const { type, stateKey, content } = event
    const isMoved =
      (MOVED_TYPES.includes(type) && stateKey === '') ||
      // Children without servers have been removed from the space.
      (type === 'm.space.child' && Array.isArray(content['via']))
    return isMoved && stateKey !== undefined && isJsonObject(content) ? [{ type, stateKey, content }] : []
  })
}

/** A room that says nothing of guests lets none in: its successor says so, whatever rooms begin with elsewhere. */
function plainGuestAccess(old: OldRoom): StateDraft[] {
  if (contentOf(old, 'm.room.guest_access') !== undefined) return []
  return [{ type: 'm.room.guest_access', stateKey: '', content: { guest_access: 'forbidden' } }]
}

/** The canonical alias with those of its aliases that move. */
function movedAlias(old: OldRoom): StateDraft[] {
  const content = contentOf(old, 'm.room.canonical_alias')
  if (content === undefined) return []
  const { alias, alt_aliases: alt } = content
  const moves = (one: unknown): boolean => (old.aliases as readonly unknown[]).includes(one)
  const moved = {
    ...(alias !== undefined && moves(alias) && { alias }),
    ...(Array.isArray(alt) && alt.some(moves) && { alt_aliases: alt.filter(moves) }),
  }
  if (newAliases(moved, undefined).length === 0) return []
  return [{ type: 'm.room.canonical_alias', stateKey: '', content: moved }]
}

function withoutAliases(content: JsonObject, aliases: readonly RoomAlias[]): JsonObject | undefined {
  let left: JsonObject | undefined
  for (const alias of aliases) left = withoutAlias(left ?? content, alias) ?? left
  return left
}
