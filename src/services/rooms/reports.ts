import { notFound } from '../../protocol/errors.js'
import { serverNameOf, type EventId, type RoomId, type ServerName, type UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { ReportsStore } from '../../storage/stores/reports.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { UsersStore } from '../../storage/stores/users.js'
import type { Clock } from '../../util/clock.js'
import type { Requester } from '../accounts/requester.js'
import type { ReadableEvents } from '../events/readable-events.js'
import type { RoomState } from '../events/room-state.js'

export interface ReportsDependencies {
  readonly db: Database
  readonly clock: Clock
  readonly reports: ReportsStore
  readonly users: UsersStore
  readonly members: RoomMembersStore
  readonly roomState: Pick<RoomState, 'requireRoom'>
  readonly readable: ReadableEvents
  readonly serverName: ServerName
}

/** Takes down what users find inappropriate. https://spec.matrix.org/latest/client-server-api/#reporting-content */
export class Reports {
  readonly #deps: ReportsDependencies

  constructor(deps: ReportsDependencies) {
    this.#deps = deps
  }

  /** Whoever reports an event must be in its room and able to read it: `M_NOT_FOUND` otherwise. */
  async reportEvent(
    requester: Requester,
    target: { readonly roomId: RoomId; readonly eventId: EventId },
    complaint: { readonly reason: string | undefined; readonly score: number | undefined },
  ): Promise<void> {
    const { db, readable, reports } = this.#deps
    const { view } = await readable.require(requester.userId, target.roomId, target.eventId)
    if (view.membership !== 'join')
      throw notFound('Unable to report event: it does not exist or you are not joined')
    const report = { ...target, ...complaint, ...this.#by(requester) }
    await db.write('report_event', (tx) => reports.insertEventReport(tx, report))
  }

  /** Anybody may report a room that this server knows: `M_NOT_FOUND` for others. */
  async reportRoom(requester: Requester, roomId: RoomId, reason: string): Promise<void> {
    const { db, roomState, reports } = this.#deps
    await roomState.requireRoom(roomId)
    const report = { roomId, reason, ...this.#by(requester) }
    await db.write('report_room', (tx) => reports.insertRoomReport(tx, report))
  }

  /** Anybody may report a user whom this server knows: `M_NOT_FOUND` for others. */
  async reportUser(requester: Requester, userId: UserId, reason: string): Promise<void> {
    const { db, reports } = this.#deps
    if (!(await this.#isKnown(userId))) throw notFound('User not found')
    const report = { userId, reason, ...this.#by(requester) }
    await db.write('report_user', (tx) => reports.insertUserReport(tx, report))
  }

  #by(requester: Requester): { reporter: UserId; receivedTs: number } {
    return { reporter: requester.userId, receivedTs: this.#deps.clock.now() }
  }

  async #isKnown(userId: UserId): Promise<boolean> {
    const { db, users, members, serverName } = this.#deps
    if (serverNameOf(userId) === serverName) return users.exists(db.reader, userId)
    return members.isAnywhere(db.reader, userId)
  }
}
