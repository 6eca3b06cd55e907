import { badJson, invalidParam, MatrixError } from '../../protocol/errors.js'
import {
  parseUserId,
  serverNameOf,
  type RoomAlias,
  type RoomId,
  type ServerName,
  type UserId,
} from '../../protocol/ids.js'
import { getRoomVersionRules, type RoomVersionRules } from '../../protocol/room-versions.js'
import type { Database } from '../../storage/database.js'
import type { DirectoryStore } from '../../storage/stores/directory.js'
import type { ProfilesStore } from '../../storage/stores/profiles.js'
import type { PublicRoomsStore } from '../../storage/stores/public-rooms.js'
import type { Clock } from '../../util/clock.js'
import type { JsonObject } from '../../util/json.js'
import type { Requester } from '../accounts/requester.js'
import type { SpamChecks } from '../accounts/spam-checks.js'
import { checkNotSuspended } from '../accounts/suspension.js'
import type { BatchDraft, EventSender } from '../events/event-sender.js'
import type { RoomState } from '../events/room-state.js'
import { roomInUse, type Aliases } from './aliases.js'
import { badAlias, newAliases } from './canonical-aliases.js'
import type { DirectoryRules } from './directory-rules.js'
import type { IdentifierInvitations, IdentifierWish } from './identifier-invitations.js'
import type { Invitations } from './invitations.js'
import type { RemoteMembership } from './remote-membership.js'
import { memberContent } from './member-content.js'
import {
  initialPowerLevels,
  PRESETS,
  presetState,
  topicContent,
  type RoomPreset,
  type StateDraft,
} from './room-presets.js'

/** What somebody wants of a new room. */
export interface RoomWish {
  readonly visibility?: 'public' | 'private' | undefined
  readonly preset?: RoomPreset | undefined
  readonly roomVersion?: string | undefined
  readonly roomAliasName?: string | undefined
  readonly name?: string | undefined
  readonly topic?: string | undefined
  /** User IDs, not checked yet. */
  readonly invite?: readonly string[] | undefined
  readonly identifiers?: readonly IdentifierWish[] | undefined
  readonly isDirect?: boolean | undefined
  readonly creationContent?: JsonObject | undefined
  readonly initialState?: readonly StateDraft[] | undefined
  readonly powerLevelContentOverride?: JsonObject | undefined
}

export interface RoomCreationOptions {
  readonly serverName: ServerName
  readonly defaultRoomVersion: string
  /** `encryption_enabled_by_default_for_room_type`: rooms of which presets. */
  readonly encryptedPresets: ReadonlySet<RoomPreset>
  /** `default_power_level_content_override`: instead of what the preset has of its own. */
  readonly presetPowerLevels: Readonly<Partial<Record<RoomPreset, JsonObject>>>
  /** `room_list_publication_rules`. */
  readonly publicationRules: DirectoryRules
}

export interface RoomCreationDependencies {
  readonly db: Database
  readonly clock: Clock
  readonly sender: EventSender
  readonly aliases: Aliases
  readonly directory: DirectoryStore
  readonly publicRooms: PublicRoomsStore
  readonly profiles: ProfilesStore
  readonly invitations: Invitations
  readonly roomState: RoomState
  readonly remote: Pick<RemoteMembership, 'invite'>
  readonly identifiers: Pick<IdentifierInvitations, 'invite' | 'prepare'>
  /** Services that say what is spam; without it, there are none. */
  readonly spam?: Pick<SpamChecks, 'mayCreateRoom'> | undefined
  readonly options: RoomCreationOptions
}

/** What has been checked of a wish. */
interface Plan {
  readonly rules: RoomVersionRules
  readonly preset: RoomPreset
  readonly alias: RoomAlias | undefined
  readonly invited: readonly UserId[]
  readonly createContent: JsonObject
}

const NAME_TYPE = 'm.room.name'
const TOPIC_TYPE = 'm.room.topic'

/** Makes rooms. https://spec.matrix.org/latest/client-server-api/#creation */
export class RoomCreation {
  readonly #deps: RoomCreationDependencies

  constructor(deps: RoomCreationDependencies) {
    this.#deps = deps
  }

  /**
   * Makes a room with its first state and invitations, all at once or not at all; users of other servers are invited once
   * it is there, which it is also where one of those servers refuses. Those whose server cannot be reached are not
   * invited; the room is given all the same: whoever asked again would have it twice. Throws `M_UNSUPPORTED_ROOM_VERSION`,
   * `M_ROOM_IN_USE` for a taken alias, `M_INVALID_ROOM_STATE` where the room's own rules refuse its first events,
   * `M_INVALID_PARAM`, `M_INVITE_BLOCKED`, `M_THREEPID_DENIED`, `M_FORBIDDEN`, `M_USER_SUSPENDED`, `M_LIMIT_EXCEEDED`.
   */
  async create(requester: Requester, wish: RoomWish): Promise<{ roomId: RoomId }> {
    checkNotSuspended(requester)
    const plan = await this.#plan(requester, wish)
    const roomId = await this.#make(requester, wish, plan)
    await Promise.all([
      this.#inviteRemote(requester.userId, roomId, { wish, plan }),
      this.#inviteIdentifiers(requester, roomId, wish),
    ])
    return { roomId }
  }

  async #make(requester: Requester, wish: RoomWish, plan: Plan): Promise<RoomId> {
    const drafts = await this.#drafts(requester.userId, wish, plan)
    const { sender, directory, clock } = this.#deps
    const { alias } = plan
    try {
      const { roomId } = await sender.createRoom(requester.userId, {
        rules: plan.rules,
        createContent: plan.createContent,
        drafts: () => drafts,
        isPublic: false,
        inTransaction: async (tx, room) => {
          if (alias !== undefined) {
            const own = { alias, roomNid: room.roomNid, creator: requester.userId }
            if (!(await directory.insert(tx, own, clock.now()))) throw roomInUse()
          }
          const aliases = alias === undefined ? [] : [alias]
          // Who may not publish gets the room nevertheless, unpublished.
          const isPublished =
            wish.visibility === 'public' &&
            (requester.isAdmin ||
              this.#deps.options.publicationRules.allows(requester.userId, room.roomId, aliases))
          if (isPublished) await this.#deps.publicRooms.setPublished(tx, room.roomNid, true)
        },
      })
      return roomId
    } catch (error) {
      if (error instanceof MatrixError && error.errcode === 'M_FORBIDDEN') {
        throw new MatrixError('M_INVALID_ROOM_STATE', `The room's first state is invalid: ${error.message}`)
      }
      throw error
    }
  }

  /** Asks all of their servers, whatever the others say. */
  async #inviteRemote(
    sender: UserId,
    roomId: RoomId,
    { wish, plan }: { wish: RoomWish; plan: Plan },
  ): Promise<void> {
    const { invitations, roomState, remote } = this.#deps
    const invited = plan.invited.filter((userId) => this.#isRemote(userId))
    if (invited.length === 0) return
    const room = await roomState.requireRoom(roomId)
    const contents = await invitations.contents(invited, wish.isDirect ? { is_direct: true } : {})
    await settleReachable(
      [...contents].map(([userId, content]) => remote.invite(room, { sender, userId, content })),
    )
  }

  async #inviteIdentifiers(
    requester: Requester,
    roomId: RoomId,
    { identifiers = [], isDirect }: RoomWish,
  ): Promise<void> {
    const options = { isDirect, isLimited: false }
    await settleReachable(
      identifiers.map((wish) => this.#deps.identifiers.invite(requester, roomId, { wish, options })),
    )
  }

  #isRemote(userId: UserId): boolean {
    return serverNameOf(userId) !== this.#deps.options.serverName
  }

  async #plan(requester: Requester, wish: RoomWish): Promise<Plan> {
    const version = wish.roomVersion ?? this.#deps.options.defaultRoomVersion
    const rules = getRoomVersionRules(version)
    if (!rules) throw unsupportedRoomVersion()
    checkInitialState(wish.initialState ?? [])
    const preset = wish.preset ?? (wish.visibility === 'public' ? 'public_chat' : 'private_chat')
    const alias =
      wish.roomAliasName === undefined
        ? undefined
        : await this.#deps.aliases.checkNew(requester, wish.roomAliasName)
    checkCanonicalAlias(wish.initialState ?? [], alias)
    const invited = requester.isShadowBanned ? [] : parseInvited(wish.invite ?? [])
    await this.#deps.invitations.check(requester, invited)
    await this.#deps.invitations.consumeRateLimits(requester, invited, undefined)
    await this.#deps.identifiers.prepare(requester, wish.identifiers ?? [])
    if (!requester.isAdmin) await this.#deps.spam?.mayCreateRoom(requester.userId)
    const createContent = createRoomContent(requester.userId, rules, {
      content: wish.creationContent ?? {},
      trusted: preset === 'trusted_private_chat' ? invited : [],
    })
    return { rules, preset, alias, invited, createContent }
  }

  /** The events after the create event, in the order that the specification gives. */
  async #drafts(creator: UserId, wish: RoomWish, plan: Plan): Promise<BatchDraft[]> {
    const { db, profiles, invitations } = this.#deps
    const profile = await profiles.get(db.reader, creator)
    const ours = plan.invited.filter((userId) => !this.#isRemote(userId))
    const invites = await invitations.contents(ours, wish.isDirect ? { is_direct: true } : {})
    return [
      { type: 'm.room.member', stateKey: creator, content: memberContent('join', {}, profile) },
      ...this.#firstState(creator, wish, plan),
      ...[...invites].map(([userId, content]) => ({ type: 'm.room.member', stateKey: userId, content })),
    ]
  }

  #firstState(creator: UserId, wish: RoomWish, plan: Plan): StateDraft[] {
    const { name, topic } = wish
    const given = (wish.initialState ?? []).filter(
      ({ type, stateKey }) =>
        stateKey !== '' ||
        !((type === NAME_TYPE && name !== undefined) || (type === TOPIC_TYPE && topic !== undefined)),
    )
    const isGiven = (type: string): boolean => given.some((one) => one.type === type && one.stateKey === '')
    const defaults: StateDraft[] = [
      { type: 'm.room.power_levels', stateKey: '', content: this.#powerLevels(creator, wish, plan) },
      ...(plan.alias === undefined
        ? []
        : [{ type: 'm.room.canonical_alias', stateKey: '', content: { alias: plan.alias } }]),
      ...presetState(plan.preset),
      ...(this.#deps.options.encryptedPresets.has(plan.preset) ? [ENCRYPTION] : []),
    ]
    // Power levels of the requester's own come where the default ones would: what follows is judged by them.
    const levels = given.filter(({ type, stateKey }) => type === 'm.room.power_levels' && stateKey === '')
    return [
      ...levels,
      ...defaults.filter(({ type }) => !isGiven(type)),
      ...given.filter((one) => !levels.includes(one)),
      ...(name === undefined ? [] : [{ type: NAME_TYPE, stateKey: '', content: { name } }]),
      ...(topic === undefined ? [] : [{ type: TOPIC_TYPE, stateKey: '', content: topicContent(topic) }]),
    ]
  }

  #powerLevels(creator: UserId, wish: RoomWish, { rules, preset, invited }: Plan): JsonObject {
    const { presetPowerLevels } = this.#deps.options
    return initialPowerLevels({
      rules,
      creator,
      trusted: preset === 'trusted_private_chat' ? invited : [],
      overrides: [
        presetPowerLevels[preset] ?? PRESETS[preset].powerLevels,
        wish.powerLevelContentOverride ?? {},
      ],
    })
  }
}

const ENCRYPTION: StateDraft = {
  type: 'm.room.encryption',
  stateKey: '',
  content: { algorithm: 'm.megolm.v1.aes-sha2' },
}

export function unsupportedRoomVersion(): MatrixError {
  return new MatrixError('M_UNSUPPORTED_ROOM_VERSION', 'This server does not support that room version')
}

/**
 * The content of a create event: what the requester wants, with what the server knows better.
 * `trusted`: who becomes a creator too, in room versions where there can be several.
 */
export function createRoomContent(
  creator: UserId,
  rules: RoomVersionRules,
  { content, trusted }: { content: JsonObject; trusted: readonly UserId[] },
): JsonObject {
  const { type } = content
  // The type of a room has a column of its own, and no column holds NUL.
  if (typeof type === 'string' && type.includes('\u0000')) throw badJson('A room type has no NUL character')
  const own = Object.fromEntries(Object.entries(content).filter(([key]) => key !== 'creator'))
  const base = { ...own, room_version: rules.version }
  if (!rules.implicitCreator) return { ...base, creator }
  if (!rules.privilegedCreators || trusted.length === 0) return base
  const listed = content['additional_creators'] ?? []
  if (!Array.isArray(listed)) throw badJson('additional_creators must be a list of user IDs')
  const additional = new Set([...listed, ...trusted.filter((userId) => userId !== creator)])
  return { ...base, additional_creators: [...additional] }
}

/** Waits for all. Throws what the first has thrown, unless it is that a server could not be reached. */
async function settleReachable(invitations: readonly Promise<unknown>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(invitations))
    if (outcome.status === 'rejected' && !isUnreachable(outcome.reason)) throw outcome.reason
}

function isUnreachable(error: unknown): boolean {
  if (!(error instanceof MatrixError)) return false
  return error.errcode === 'M_CONNECTION_FAILED' || error.errcode === 'M_CONNECTION_TIMEOUT'
}

function parseInvited(invite: readonly string[]): UserId[] {
  const invited = new Set<UserId>()
  for (const text of invite) {
    const userId = parseUserId(text)
    if (userId === undefined) throw invalidParam(`Invalid user ID to invite: ${text}`)
    invited.add(userId)
  }
  return [...invited]
}

function checkInitialState(initialState: readonly StateDraft[]): void {
  for (const { type } of initialState) {
    if (type === 'm.room.create' || type === 'm.room.member') {
      throw new MatrixError('M_INVALID_ROOM_STATE', `initial_state cannot contain ${type}`)
    }
  }
}

/** No other alias than the one that is made with the room can lead to it. */
function checkCanonicalAlias(initialState: readonly StateDraft[], alias: RoomAlias | undefined): void {
  for (const { type, stateKey, content } of initialState) {
    if (type !== 'm.room.canonical_alias' || stateKey !== '') continue
    if (newAliases(content, undefined).some((one) => one !== alias)) throw badAlias()
  }
}
