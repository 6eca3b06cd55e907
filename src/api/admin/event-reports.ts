import { z } from 'zod'
import { route } from '../../http/route.js'
import type { EventReportEntry } from '../../services/administration/report-administration.js'
import type { JsonObject } from '../../util/json.js'
import { directionParam, nextOf, pageParams, toReportId } from './paging.js'

/** Lists the events that users have reported, the newest first unless `dir=f`. */
export const listEventReports = route({
  operationId: 'adminListEventReports',
  method: 'GET',
  path: '/_synapse/admin/v1/event_reports',
  auth: 'admin',
  query: z.looseObject({
    ...pageParams,
    dir: directionParam,
    user_id: z.string().optional(),
    room_id: z.string().optional(),
    event_sender_user_id: z.string().optional(),
  }),
  async handler({ query }, { reportAdministration }) {
    const { reports, total } = await reportAdministration.list(
      { reporter: query.user_id, roomId: query.room_id, sender: query.event_sender_user_id },
      { from: query.from, limit: query.limit, newestFirst: query.dir !== 'f' },
    )
    const next = nextOf(query, total)
    return { event_reports: reports.map(reportJson), total, ...(next !== undefined && { next_token: next }) }
  },
})

export const getEventReport = route({
  operationId: 'adminGetEventReport',
  method: 'GET',
  path: '/_synapse/admin/v1/event_reports/:reportId',
  auth: 'admin',
  async handler({ params }, { reportAdministration }) {
    const report = await reportAdministration.get(toReportId(params.reportId))
    return { ...reportJson(report), event_json: report.event?.json ?? null }
  },
})

export const deleteEventReport = route({
  operationId: 'adminDeleteEventReport',
  method: 'DELETE',
  path: '/_synapse/admin/v1/event_reports/:reportId',
  auth: 'admin',
  async handler({ params }, { reportAdministration }) {
    await reportAdministration.delete(toReportId(params.reportId))
    return {}
  },
})

function reportJson(report: EventReportEntry): JsonObject {
  return {
    id: report.id,
    received_ts: report.receivedTs,
    room_id: report.roomId,
    name: report.roomName ?? null,
    event_id: report.eventId,
    user_id: report.reporter,
    reason: report.reason ?? null,
    score: report.score ?? null,
    sender: report.sender ?? null,
    canonical_alias: report.roomAlias ?? null,
  }
}
