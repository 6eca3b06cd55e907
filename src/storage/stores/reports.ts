import type { Tx } from '../database.js'
import type { EventId, RoomId, UserId } from '../../protocol/ids.js'

/** Who reports, why and when. */
interface Complaint {
  readonly reporter: UserId
  readonly receivedTs: number
}

export interface EventReport extends Complaint {
  readonly roomId: RoomId
  readonly eventId: EventId
  readonly reason: string | undefined
  /** From -100, most offensive, to 0. */
  readonly score: number | undefined
}

export interface RoomReport extends Complaint {
  readonly roomId: RoomId
  readonly reason: string
}

export interface UserReport extends Complaint {
  readonly userId: UserId
  readonly reason: string
}

/** What users report to the administrators of the server. */
export class ReportsStore {
  async insertEventReport(tx: Tx, report: EventReport): Promise<void> {
    await tx.execute(
      `INSERT INTO event_reports (received_ts, room_id, event_id, reporter, reason, score)
       VALUES (?, ?, ?, ?, ?, ?)`,
      [
        report.receivedTs,
        report.roomId,
        report.eventId,
        report.reporter,
        report.reason ?? null,
        report.score ?? null,
      ],
    )
  }

  async insertRoomReport(tx: Tx, report: RoomReport): Promise<void> {
    await tx.execute(
      'INSERT INTO room_reports (received_ts, room_id, reporter, reason) VALUES (?, ?, ?, ?)',
      [report.receivedTs, report.roomId, report.reporter, report.reason],
    )
  }

  async insertUserReport(tx: Tx, report: UserReport): Promise<void> {
    await tx.execute(
      'INSERT INTO user_reports (received_ts, user_id, reporter, reason) VALUES (?, ?, ?, ?)',
      [report.receivedTs, report.userId, report.reporter, report.reason],
    )
  }
}
