import { serverNameOf, type RoomId, type ServerName, type UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { LastingTask } from '../../storage/stores/lasting-tasks.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomRecord, RoomsStore } from '../../storage/stores/rooms.js'
import type { SentEventsStore } from '../../storage/stores/sent-events.js'
import type { JsonObject } from '../../util/json.js'
import type { EventSender } from '../events/event-sender.js'
import type { LastingTasks, TaskRun } from '../tasks/lasting-tasks.js'

/** What is to be taken back of what somebody has sent. */
export interface RedactionWish {
  /** None: all that they are or were in. */
  readonly rooms: readonly RoomId[]
  readonly reason: string | undefined
  /** In each room. */
  readonly limit: number
  /** The administrator redacts it, and not the user. */
  readonly useAdmin: boolean
  /** When it was received, in milliseconds. */
  readonly after: number | undefined
  readonly before: number | undefined
}

export interface UserRedactionsDependencies {
  readonly db: Database
  readonly rooms: RoomsStore
  readonly members: RoomMembersStore
  readonly sentEvents: SentEventsStore
  readonly sender: Pick<EventSender, 'send'>
  readonly tasks: LastingTasks
  readonly serverName: ServerName
}

const ACTION = 'redact_all_events'
/** More failures than this are not told one by one. */
const MAX_FAILURES = 1_000

/** Redacts what single users have sent, on the word of an administrator. */
export class UserRedactions {
  readonly #deps: UserRedactionsDependencies

  constructor(deps: UserRedactionsDependencies) {
    this.#deps = deps
    deps.tasks.define(ACTION, (run) => this.#run(run))
  }

  /**
   * Begins to redact; gives the ID to ask `find` about. Those of this server take back themselves what they have sent;
   * for others the administrator does, who must have the power in the rooms. 400 `M_UNKNOWN` while it is done already.
   */
  start(admin: UserId, userId: UserId, wish: RedactionWish): Promise<string> {
    const isOurs = serverNameOf(userId) === this.#deps.serverName
    return this.#deps.tasks.start(ACTION, userId, {
      rooms: [...wish.rooms],
      by: isOurs && !wish.useAdmin ? userId : admin,
      reason: wish.reason ?? null,
      limit: wish.limit,
      after: wish.after ?? Number.MIN_SAFE_INTEGER,
      before: wish.before ?? Number.MAX_SAFE_INTEGER,
      user_id: userId,
    })
  }

  /** How far it is, for seven days after its end; of events that could not be redacted, why, by ID. */
  async find(redactId: string): Promise<(LastingTask & { readonly failed: JsonObject }) | undefined> {
    const task = await this.#deps.tasks.get(ACTION, redactId)
    return task && { ...task, failed: (task.result?.['failed_redactions'] ?? {}) as JsonObject }
  }

  /** What an earlier run has redacted is not listed again. */
  async #run({ params, signal }: TaskRun): Promise<JsonObject> {
    const failed: JsonObject = {}
    for (const room of await this.#rooms(params)) {
      if (signal.aborted) break
      await this.#redactIn(room, { params, signal, failed })
    }
    return { failed_redactions: failed }
  }

  async #redactIn(
    room: RoomRecord,
    { params, signal, failed }: Pick<TaskRun, 'params' | 'signal'> & { readonly failed: JsonObject },
  ): Promise<void> {
    const { db, sentEvents, sender } = this.#deps
    const events = await sentEvents.listRedactable(db.reader, room.roomNid, params['user_id'] as UserId, {
      after: params['after'] as number,
      before: params['before'] as number,
      limit: params['limit'] as number,
    })
    const reason = params['reason']
    for (const redacts of events) {
      if (signal.aborted) return
      try {
        await sender.send(
          { userId: params['by'] as UserId },
          {
            roomId: room.roomId,
            type: 'm.room.redaction',
            content: { redacts, ...(typeof reason === 'string' && { reason }) },
          },
        )
      } catch (error) {
        if (Object.keys(failed).length >= MAX_FAILURES) continue
        failed[redacts] = error instanceof Error ? error.message : String(error)
      }
    }
  }

  async #rooms(params: JsonObject): Promise<RoomRecord[]> {
    const { db, rooms, members } = this.#deps
    const named = params['rooms'] as RoomId[]
    if (named.length > 0) return [...(await rooms.getByIds(db.reader, named)).values()]
    const memberships = ['join', 'leave', 'ban', 'invite', 'knock'] as const
    const held = await members.listForUser(db.reader, params['user_id'] as UserId, memberships)
    const nids = held.map(({ roomNid }) => roomNid)
    return [...(await rooms.getByNids(db.reader, nids)).values()]
  }
}
