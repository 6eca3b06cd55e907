import { z } from 'zod'
import { route } from '../../http/route.js'
import type { ReportAdministration } from '../../services/administration/report-administration.js'
import type { JsonObject } from '../../util/json.js'
import { directionParam, nextOf, pageParams, toReportId } from './paging.js'

type Report = Awaited<ReturnType<ReportAdministration['getOfUser']>>

/** Lists the users whom others have reported, the newest reports first unless `dir=f`. */
export const listUserReports = route({
  operationId: 'adminListUserReports',
  method: 'GET',
  path: '/_synapse/admin/v1/user_reports',
  auth: 'admin',
  query: z.looseObject({
    ...pageParams,
    dir: directionParam,
    user_id: z.string().optional(),
    target_user_id: z.string().optional(),
  }),
  async handler({ query }, { reportAdministration }) {
    const { reports, total } = await reportAdministration.listOfUsers(
      { reporter: query.user_id, target: query.target_user_id },
      { from: query.from, limit: query.limit, newestFirst: query.dir !== 'f' },
    )
    const next = nextOf(query, total)
    return { user_reports: reports.map(reportJson), total, ...(next !== undefined && { next_token: next }) }
  },
})

export const getUserReport = route({
  operationId: 'adminGetUserReport',
  method: 'GET',
  path: '/_synapse/admin/v1/user_reports/:reportId',
  auth: 'admin',
  handler: async ({ params }, { reportAdministration }) =>
    reportJson(await reportAdministration.getOfUser(toReportId(params.reportId))),
})

export const deleteUserReport = route({
  operationId: 'adminDeleteUserReport',
  method: 'DELETE',
  path: '/_synapse/admin/v1/user_reports/:reportId',
  auth: 'admin',
  async handler({ params }, { reportAdministration }) {
    await reportAdministration.deleteOfUser(toReportId(params.reportId))
    return {}
  },
})

function reportJson(report: Report): JsonObject {
  return {
    id: report.id,
    received_ts: report.receivedTs,
    target_user_id: report.target,
    user_id: report.reporter,
    reason: report.reason,
  }
}
