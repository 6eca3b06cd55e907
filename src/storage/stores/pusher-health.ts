import type { Query } from '../database.js'

/** A gateway that notifications go through. */
export interface PushGateway {
  readonly url: string
  readonly pushers: number
  /** Those whose last attempt came to nothing, and since when the first of them fails. */
  readonly failing: number
  readonly failingSinceTs: number | undefined
}

/** How notifications go, for reports. */
export class PusherHealthStore {
  /** Those with most pushers first. */
  async listGateways(q: Query, limit: number): Promise<PushGateway[]> {
    const url = q.dialect.name === 'sqlite' ? `json_extract(data, '$.url')` : `data::jsonb ->> 'url'`
    const rows = await q.all<{ url: string | null; n: number; failing: number; since: number | null }>(
      `SELECT url, COUNT(*) AS n, COUNT(failing_since_ts) AS failing, MIN(failing_since_ts) AS since
       FROM (SELECT ${url} AS url, failing_since_ts FROM pushers WHERE kind = 'http' AND is_enabled = 1) p
       GROUP BY url ORDER BY COUNT(*) DESC LIMIT ?`,
      [limit],
    )
    return rows.flatMap(({ url: found, n, failing, since }) =>
      found === null ? [] : [{ url: found, pushers: n, failing, failingSinceTs: since ?? undefined }],
    )
  }
}
