import { invalidParam, MatrixError } from '../../protocol/errors.js'
import { serverNameOf, type RoomId, type ServerName, type UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { DirectoryStore } from '../../storage/stores/directory.js'
import type { LastingTask } from '../../storage/stores/lasting-tasks.js'
import type { MemberRecord, RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomRecord, RoomsStore } from '../../storage/stores/rooms.js'
import type { UsersStore } from '../../storage/stores/users.js'
import type { Clock } from '../../util/clock.js'
import type { JsonObject } from '../../util/json.js'
import { actingFor, type Requester } from '../accounts/requester.js'
import type { EventSender } from '../events/event-sender.js'
import type { RoomRemoval } from '../events/room-removal.js'
import type { PartialStateSync } from '../federation/partial-state-sync.js'
import { SHUTDOWN_ACTION, type RoomBlocks } from '../rooms/room-blocks.js'
import type { RoomCreation } from '../rooms/room-creation.js'
import type { RoomDepartures } from '../rooms/room-departures.js'
import type { RoomMembership } from '../rooms/room-membership.js'
import type { LastingTasks, TaskRun } from '../tasks/lasting-tasks.js'

/** What is to become of a room and of those who are in it. */
export interface ShutdownWish {
  /** Who makes a room to which everybody is moved, where they are told why; undefined: there is none. */
  readonly newRoomUserId: UserId | undefined
  readonly newRoomName: string | undefined
  readonly message: string | undefined
  /** Nobody of this server may enter it again. */
  readonly block: boolean
  /** All that is known of the room is removed... */
  readonly purge: boolean
  /** ...even where somebody of this server could not be taken out of it. */
  readonly forcePurge: boolean
}

/** What has become of them. */
export interface ShutdownResult {
  readonly kickedUsers: readonly UserId[]
  readonly failedToKickUsers: readonly UserId[]
  /** What led to the room. */
  readonly localAliases: readonly string[]
  readonly newRoomId: RoomId | undefined
}

/** A shutdown, and how far it has come. */
export interface Shutdown extends Pick<LastingTask, 'taskId' | 'status' | 'error'> {
  readonly roomId: RoomId
  readonly outcome: ShutdownResult
}

export interface RoomShutdownsDependencies {
  readonly db: Database
  readonly clock: Clock
  readonly rooms: RoomsStore
  readonly members: RoomMembersStore
  readonly users: UsersStore
  readonly directory: DirectoryStore
  readonly sender: Pick<EventSender, 'send'>
  readonly creation: Pick<RoomCreation, 'create'>
  readonly membership: Pick<RoomMembership, 'join'>
  readonly departures: Pick<RoomDepartures, 'leave'>
  readonly removal: RoomRemoval
  readonly blocks: RoomBlocks
  readonly completing: Pick<PartialStateSync, 'giveUp'>
  readonly tasks: LastingTasks
  readonly serverName: ServerName
  /** Called with the refusals of rooms. */
  readonly onError: (error: unknown) => void
}

const NAME = 'Content Violation Notification'
const MESSAGE =
  'Sharing illegal content on this server is not permitted and rooms in violation will be blocked.'
/** A parameter: whoever is in the room may stay, and the room then, too. */
const ONLY_EMPTY = 'only_empty'
/** Only whoever made the room speaks there. */
const SILENT_USERS = { users_default: -10 }
/** For those who wait in a sync to learn that they have left, before nothing is known of the room. */
const FAREWELL_MS = 300

/** Closes rooms for this server's users: they leave, can be told why, and the room can be removed and kept out. */
export class RoomShutdowns {
  readonly #deps: RoomShutdownsDependencies

  constructor(deps: RoomShutdownsDependencies) {
    this.#deps = deps
    deps.tasks.define(SHUTDOWN_ACTION, (run) => this.#run(run))
  }

  /**
   * Begins to shut a room down, which this server need not know; gives the ID to ask `find` about. 400 `M_UNKNOWN` while
   * it is being shut down already; `M_INVALID_PARAM` where the maker of the new room is no user of this server.
   */
  async start(requester: Requester, roomId: RoomId, wish: ShutdownWish): Promise<string> {
    const { db, users, blocks, tasks, serverName } = this.#deps
    const maker = wish.newRoomUserId
    if (maker !== undefined) {
      const isOurs = serverNameOf(maker) === serverName && (await users.exists(db.reader, maker))
      if (!isOurs) throw invalidParam(`User must be our own: ${maker}`)
    }
    if (wish.block) await blocks.set(roomId, true, requester.userId)
    return tasks.start(SHUTDOWN_ACTION, roomId, {
      room_id: roomId,
      new_room_user_id: maker ?? null,
      room_name: wish.newRoomName ?? NAME,
      message: wish.message ?? MESSAGE,
      purge: wish.purge,
      force_purge: wish.forcePurge,
    })
  }

  /**
   * Begins to remove a room that nobody of this server is in or remembers; gives the ID to ask `find` about. Should
   * somebody come back to it first, the room stays. 400 `M_UNKNOWN` while it is being shut down already.
   */
  removeForgotten(roomId: RoomId): Promise<string> {
    const params = { room_id: roomId, new_room_user_id: null, purge: true, force_purge: false }
    return this.#deps.tasks.start(SHUTDOWN_ACTION, roomId, { ...params, [ONLY_EMPTY]: true })
  }

  /** Resolves when a shutdown has ended. Throws `M_UNKNOWN` with what it has failed with. */
  async outcome(deleteId: string): Promise<ShutdownResult> {
    const task = await this.#deps.tasks.ended(SHUTDOWN_ACTION, deleteId)
    if (task?.status !== 'complete')
      throw new MatrixError('M_UNKNOWN', task?.error ?? 'The server is stopping')
    return toShutdown(task).outcome
  }

  /** How far a shutdown has come, for seven days after its end. */
  async find(deleteId: string): Promise<Shutdown | undefined> {
    const task = await this.#deps.tasks.get(SHUTDOWN_ACTION, deleteId)
    return task && toShutdown(task)
  }

  /** Of a room, the newest first. */
  async list(roomId: RoomId): Promise<Shutdown[]> {
    const tasks = await this.#deps.tasks.list({ action: SHUTDOWN_ACTION, resource: roomId })
    return tasks.map(toShutdown)
  }

  /** What an earlier run has done is not done again. */
  async #run({ params, earlier = {}, signal, report }: TaskRun): Promise<JsonObject> {
    const { db, rooms, removal, completing } = this.#deps
    const roomId = params['room_id'] as RoomId
    let done: JsonObject = {
      kicked_users: [],
      failed_to_kick_users: [],
      local_aliases: [],
      new_room_id: null,
      ...earlier,
    }
    const note = (more: JsonObject): Promise<void> => {
      done = { ...done, ...more }
      return report(done)
    }
    const room = await rooms.get(db.reader, roomId)
    if (room && params[ONLY_EMPTY] === true) await this.#requireEmpty(room)
    else if (room) await this.#empty(room, { params, signal, done: () => done, note })
    if (signal.aborted || params['purge'] !== true) return done
    if (room) {
      this.#checkEmpty(done, params)
      // Written down first: a hidden room is not found by its ID any more.
      await note({ room_nid: room.roomNid })
      // What still came of its members would be left behind.
      await completing.giveUp(room)
      await removal.hide(room)
    }
    const roomNid = done['room_nid']
    if (typeof roomNid === 'number') await removal.clear({ roomNid, roomId }, signal)
    return done
  }

  async #empty(
    room: RoomRecord,
    run: Pick<TaskRun, 'params' | 'signal'> & {
      readonly done: () => JsonObject
      readonly note: (more: JsonObject) => Promise<void>
    },
  ): Promise<void> {
    const { db, members, directory, clock } = this.#deps
    const { signal, done, note } = run
    if (done()['new_room_id'] === null) await this.#makeNewRoom(run)
    const newRoomId = (done()['new_room_id'] ?? undefined) as RoomId | undefined
    const present = await members.listForRoom(db.reader, room.roomNid, ['join', 'invite', 'knock'], {
      localOnly: true,
    })
    const kicked = new Set(done()['kicked_users'] as UserId[])
    const failed = new Set<UserId>()
    for (const member of present) {
      if (signal.aborted) break
      const isOut = await this.#takeOut(member, room, newRoomId)
      if (member.membership === 'join') (isOut ? kicked : failed).add(member.userId)
    }
    const aliases = await directory.listForRoom(db.reader, room.roomNid)
    await note({
      kicked_users: [...kicked],
      failed_to_kick_users: [...failed],
      ...(aliases.length > 0 && { local_aliases: aliases }),
    })
    await this.#moveAliases(room, newRoomId)
    if (present.length === 0) return
    await clock.sleep(FAREWELL_MS, signal).catch(() => undefined)
    await db.write('forget_room', (tx) => members.setForgottenByAll(tx, room.roomNid))
  }

  async #requireEmpty({ roomNid, roomId }: RoomRecord): Promise<void> {
    const { db, members } = this.#deps
    const options = { localOnly: true }
    const present = await members.listForRoom(db.reader, roomNid, ['join', 'invite', 'knock'], options)
    if (present.length > 0) throw new Error(`Somebody has come back to ${roomId}`)
  }

  async #makeNewRoom({
    params,
    note,
  }: Pick<TaskRun, 'params'> & { readonly note: (more: JsonObject) => Promise<void> }): Promise<void> {
    const maker = params['new_room_user_id'] as UserId | null
    if (maker === null) return
    const { creation, sender } = this.#deps
    const { roomId } = await creation.create(actingFor({ userId: maker, isGuest: false }), {
      preset: 'public_chat',
      name: params['room_name'] as string,
      powerLevelContentOverride: SILENT_USERS,
    })
    await note({ new_room_id: roomId })
    const content = { msgtype: 'm.text', body: params['message'] as string }
    await sender.send({ userId: maker }, { roomId, type: 'm.room.message', content })
  }

  /** Gives whether the member has left. */
  async #takeOut(member: MemberRecord, room: RoomRecord, newRoomId: RoomId | undefined): Promise<boolean> {
    const { departures, membership, onError } = this.#deps
    const { userId } = member
    try {
      await departures.leave(userId, room.roomId)
      if (newRoomId !== undefined && member.membership === 'join') {
        const requester = actingFor({ userId, isGuest: false })
        await membership.join(requester, newRoomId, { isLimited: false })
      }
      return true
    } catch (error) {
      onError(error)
      return false
    }
  }

  async #moveAliases(room: RoomRecord, newRoomId: RoomId | undefined): Promise<void> {
    const { db, rooms, directory } = this.#deps
    const newRoom = newRoomId && (await rooms.get(db.reader, newRoomId))
    if (!newRoom) return
    await db.write('move_aliases', (tx) => directory.moveAll(tx, room.roomNid, newRoom.roomNid))
  }

  #checkEmpty(done: JsonObject, params: JsonObject): void {
    const failed = done['failed_to_kick_users'] as string[]
    if (failed.length > 0 && params['force_purge'] !== true) {
      throw new Error(`Users are still joined to this room: ${failed.slice(0, 10).join(', ')}`)
    }
  }
}

function toShutdown({ taskId, resource, status, error, result }: LastingTask): Shutdown {
  return {
    taskId,
    status,
    error,
    roomId: resource as RoomId,
    outcome: {
      kickedUsers: (result?.['kicked_users'] ?? []) as UserId[],
      failedToKickUsers: (result?.['failed_to_kick_users'] ?? []) as UserId[],
      localAliases: (result?.['local_aliases'] ?? []) as string[],
      newRoomId: (result?.['new_room_id'] ?? undefined) as RoomId | undefined,
    },
  }
}
