import type { ServerName } from '../../protocol/ids.js'
import type { Query } from '../database.js'
import type { FailingDestination } from './destinations.js'

/** What waits for a server, and how it fails. */
export interface DestinationBacklog {
  readonly serverName: ServerName
  /** Rooms of which it has not been told everything. */
  readonly rooms: number
  /** Messages to its users' devices. */
  readonly messages: number
  /** Changes of devices. */
  readonly deviceChanges: number
  /** Undefined where it is not known to fail. */
  readonly failure: Omit<FailingDestination, 'serverName' | 'lastFailedTs'> | undefined
}

interface BacklogRow {
  server_name: string
  rooms: number
  messages: number
  device_changes: number
  failures: number | null
  failing_since_ts: number | null
  retry_at_ts: number | null
  last_error: string | null
}

/** All servers that fail, or for which something waits: reports for people, not for the server's own work. */
export class DestinationBacklogsStore {
  /** In the order of their names; `serverName`: this one alone. */
  async list(q: Query, options: { serverName?: ServerName; limit: number }): Promise<DestinationBacklog[]> {
    const { serverName, limit } = options
    const only = serverName === undefined ? '' : 'WHERE n.server_name = ?'
    const rows = await q.all<BacklogRow>(
      `SELECT n.server_name,
         (SELECT COUNT(*) FROM missed_rooms m WHERE m.destination = n.server_name) AS rooms,
         (SELECT COUNT(*) FROM federation_outbox o WHERE o.destination = n.server_name) AS messages,
         (SELECT COUNT(*) FROM device_list_outbox c WHERE c.destination = n.server_name) AS device_changes,
         d.failures, d.failing_since_ts, d.retry_at_ts, d.last_error
       FROM (
         SELECT server_name FROM destinations
         UNION SELECT destination FROM missed_rooms
         UNION SELECT destination FROM federation_outbox
         UNION SELECT destination FROM device_list_outbox
       ) n LEFT JOIN destinations d ON d.server_name = n.server_name
       ${only} ORDER BY n.server_name LIMIT ?`,
      serverName === undefined ? [limit] : [serverName, limit],
    )
    return rows.map(toBacklog)
  }
}

function toBacklog(row: BacklogRow): DestinationBacklog {
  const { failures, failing_since_ts: failingSinceTs, retry_at_ts: retryAtTs, last_error: lastError } = row
  const failure =
    failures === null || failingSinceTs === null || retryAtTs === null || lastError === null
      ? undefined
      : { failures, failingSinceTs, retryAtTs, lastError }
  return {
    serverName: row.server_name as ServerName,
    rooms: row.rooms,
    messages: row.messages,
    deviceChanges: row.device_changes,
    failure,
  }
}
