import type { Query, Tx } from '../database.js'
import type { DeviceId, UserId } from '../../protocol/ids.js'

/** A request of a device, or of a token without a device, from an address. */
export interface ClientSighting {
  readonly userId: UserId
  readonly deviceId: DeviceId | undefined
  readonly ip: string
  readonly userAgent: string
  readonly lastSeenTs: number
}

/** From where accounts are used. */
export class ClientIpsStore {
  /** Keeps the sightings, each (device, address, user agent) at most once among them; two statements in all. */
  async record(tx: Tx, sightings: readonly ClientSighting[]): Promise<void> {
    if (sightings.length === 0) return
    await tx.insertMany(
      'client_ips',
      sightings.map((sighting) => ({
        user_id: sighting.userId,
        device_id: sighting.deviceId ?? '',
        ip: sighting.ip,
        user_agent: sighting.userAgent,
        last_seen_ts: sighting.lastSeenTs,
      })),
      {
        columns: {
          user_id: 'text',
          device_id: 'text',
          ip: 'text',
          user_agent: 'text',
          last_seen_ts: 'integer',
        },
        conflict: { key: ['user_id', 'device_id', 'ip', 'user_agent'], update: ['last_seen_ts'] },
      },
    )
    await this.#updateDevices(tx, sightings)
  }

  /** The addresses of a user, newest first, at most `limit`. */
  async listForUser(q: Query, userId: UserId, limit: number): Promise<ClientSighting[]> {
    const rows = await q.all<{
      device_id: string
      ip: string
      user_agent: string
      last_seen_ts: number
    }>(
      `SELECT device_id, ip, user_agent, last_seen_ts FROM client_ips WHERE user_id = ?
       ORDER BY last_seen_ts DESC LIMIT ?`,
      [userId, limit],
    )
    return rows.map((row) => ({
      userId,
      deviceId: row.device_id === '' ? undefined : (row.device_id as DeviceId),
      ip: row.ip,
      userAgent: row.user_agent,
      lastSeenTs: row.last_seen_ts,
    }))
  }

  async deleteForUser(tx: Tx, userId: UserId): Promise<void> {
    await tx.execute('DELETE FROM client_ips WHERE user_id = ?', [userId])
  }

  /** Index client_ips_last_seen. */
  async deleteBefore(tx: Tx, ts: number): Promise<number> {
    return tx.execute('DELETE FROM client_ips WHERE last_seen_ts < ?', [ts])
  }

  async #updateDevices(tx: Tx, sightings: readonly ClientSighting[]): Promise<void> {
    const newest = new Map<string, ClientSighting>()
    for (const sighting of sightings) {
      if (sighting.deviceId === undefined) continue
      const key = `${sighting.userId}\0${sighting.deviceId}`
      const known = newest.get(key)
      if (known === undefined || known.lastSeenTs <= sighting.lastSeenTs) newest.set(key, sighting)
    }
    if (newest.size === 0) return
    const source = tx.dialect.rowsFrom({
      user_id: 'text',
      device_id: 'text',
      ip: 'text',
      user_agent: 'text',
      ts: 'integer',
    })
    const rows = [...newest.values()].map((sighting) => ({
      user_id: sighting.userId,
      device_id: sighting.deviceId ?? '',
      ip: sighting.ip,
      user_agent: sighting.userAgent,
      ts: sighting.lastSeenTs,
    }))
    await tx.execute(
      `UPDATE devices SET last_seen_ts = r.ts, last_seen_ip = r.ip, user_agent = r.user_agent
       FROM ${source} AS r WHERE devices.user_id = r.user_id AND devices.device_id = r.device_id`,
      [tx.dialect.rows(rows)],
    )
  }
}
