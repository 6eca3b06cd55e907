import { listRooms } from '../../storage/synapse/rooms.js'
import { NEWEST_SCHEMA, OLDEST_SCHEMA } from '../../storage/synapse/schema.js'
import type { SynapseSource } from '../../storage/synapse/source.js'
import { listLeftOut, type LeftOut } from './left-behind.js'
import { obstacleTo, type LeftOutRoom } from './room-copying.js'
import { smallTables } from './small-tables.js'
import { TakeoverRefusal } from './takeover-refusal.js'

/** What a Synapse's database has. */
export interface SourceReport {
  readonly schemaVersion: number
  readonly engine: 'sqlite' | 'postgres'
  readonly rooms: number
  readonly events: number
  readonly tables: readonly { readonly what: string; readonly rows: number }[]
  readonly leftOutRooms: readonly LeftOutRoom[]
  readonly leftOut: readonly LeftOut[]
}

/**
 * Looks the database of a Synapse over. Throws a `TakeoverRefusal` where it is none, or of a version that is not known.
 */
export async function inspectSource(
  source: SynapseSource,
  { serverName }: { serverName: string },
): Promise<SourceReport> {
  const schemaVersion = checkSchema(source)
  const rooms = await listRooms(source)
  const tables: { what: string; rows: number }[] = []
  for (const { what, count } of smallTables(source, serverName)) {
    tables.push({ what, rows: await count(source) })
  }
  return {
    schemaVersion,
    engine: source.q.dialect.name,
    rooms: rooms.length,
    events: rooms.reduce((sum, { extent }) => sum + extent.events, 0),
    tables,
    leftOutRooms: rooms.flatMap((room) => {
      const reason = obstacleTo(room)
      return reason === undefined ? [] : [{ roomId: room.roomId, reason }]
    }),
    leftOut: await listLeftOut(source),
  }
}

/** The version of the schema, where it is one that is known. */
export function checkSchema({ schema }: SynapseSource): number {
  const { version, compatVersion } = schema
  if (version === undefined || !schema.hasTable('event_json'))
    throw new TakeoverRefusal('The database is none of a Synapse')
  if (version < OLDEST_SCHEMA)
    throw new TakeoverRefusal(
      `The database has version ${version} of Synapse's schema: version ${OLDEST_SCHEMA} (Synapse 1.74) or later is ` +
        'needed. Update Synapse and let it start once.',
    )
  if ((compatVersion ?? version) > NEWEST_SCHEMA)
    throw new TakeoverRefusal(
      `The database has version ${version} of Synapse's schema, and this program knows those up to ${NEWEST_SCHEMA}`,
    )
  return version
}
