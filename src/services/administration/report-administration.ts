import { notFound } from '../../protocol/errors.js'
import type { Event } from '../../protocol/event.js'
import type { RoomId } from '../../protocol/ids.js'
import type { Database, Query } from '../../storage/database.js'
import type { EventsStore } from '../../storage/stores/events.js'
import type {
  ListedEventReport,
  ListedUserReport,
  ReportListingStore,
  ReportPage,
  ReportSelection,
} from '../../storage/stores/report-listing.js'
import type { RoomOverviews } from './room-overviews.js'

export interface ReportAdministrationDependencies {
  readonly db: Database
  readonly reports: ReportListingStore
  readonly events: EventsStore
  readonly rooms: Pick<RoomOverviews, 'listNames'>
}

/** A report with what its room is called. */
export interface EventReportEntry extends ListedEventReport {
  readonly roomName: string | undefined
  readonly roomAlias: string | undefined
}

/** Shows administrators what users have reported. */
export class ReportAdministration {
  readonly #deps: ReportAdministrationDependencies

  constructor(deps: ReportAdministrationDependencies) {
    this.#deps = deps
  }

  /** A page of reports of events, and how many there are in all. */
  async list(
    selection: ReportSelection,
    page: ReportPage,
  ): Promise<{ reports: EventReportEntry[]; total: number }> {
    const { db, reports } = this.#deps
    return db.read('list_event_reports', async (q) => {
      const found = await reports.list(q, selection, page)
      return { reports: await this.#named(q, found.reports), total: found.total }
    })
  }

  /** One report, with its event where that is held. Throws `M_NOT_FOUND`. */
  async get(id: number): Promise<EventReportEntry & { readonly event: Event | undefined }> {
    const { db, reports, events } = this.#deps
    return db.read('get_event_report', async (q) => {
      const report = await reports.get(q, id)
      if (report === undefined) throw noSuchReport()
      const [named] = await this.#named(q, [report])
      return { ...named!, event: (await events.get(q, report.eventId))?.event }
    })
  }

  /** Throws `M_NOT_FOUND`. */
  async delete(id: number): Promise<void> {
    const { db, reports } = this.#deps
    const isDeleted = await db.write('delete_event_report', (tx) => reports.delete(tx, id))
    if (!isDeleted) throw noSuchReport()
  }

  /** A page of reports of users, and how many there are in all. */
  listOfUsers(
    selection: { readonly target?: string | undefined; readonly reporter?: string | undefined },
    page: ReportPage,
  ): Promise<{ reports: ListedUserReport[]; total: number }> {
    const { db, reports } = this.#deps
    return db.read('list_user_reports', (q) => reports.listOfUsers(q, selection, page))
  }

  /** Throws `M_NOT_FOUND`. */
  async getOfUser(id: number): Promise<ListedUserReport> {
    const { db, reports } = this.#deps
    const report = await reports.getOfUser(db.reader, id)
    if (report === undefined) throw notFound('User report not found')
    return report
  }

  /** Throws `M_NOT_FOUND`. */
  async deleteOfUser(id: number): Promise<void> {
    const { db, reports } = this.#deps
    const isDeleted = await db.write('delete_user_report', (tx) => reports.deleteOfUser(tx, id))
    if (!isDeleted) throw notFound('User report not found')
  }

  async #named(q: Query, reports: readonly ListedEventReport[]): Promise<EventReportEntry[]> {
    const roomIds = new Set<RoomId>(reports.map(({ roomId }) => roomId))
    const names = await this.#deps.rooms.listNames(q, [...roomIds])
    return reports.map((report) => ({
      ...report,
      roomName: names.get(report.roomId)?.name,
      roomAlias: names.get(report.roomId)?.canonicalAlias,
    }))
  }
}

function noSuchReport(): Error {
  return notFound('Event report not found')
}
