import { countRows } from '../../storage/synapse/rows.js'
import { listRooms } from '../../storage/synapse/rooms.js'
import { NEWEST_SCHEMA, OLDEST_SCHEMA } from '../../storage/synapse/schema.js'
import type { SynapseSource } from '../../storage/synapse/source.js'
import { obstacleTo, type LeftOutRoom } from './room-copying.js'
import { smallTables } from './small-tables.js'
import { TakeoverRefusal } from './takeover-refusal.js'

/** Something that does not come over, and why. */
export interface LeftOut {
  readonly what: string
  readonly count: number
  readonly why: string
}

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

/** What has no place here. By table: what its rows are, and why they stay behind. */
const LEFT_BEHIND: readonly { table: string; where?: string; what: string; why: string }[] = [
  {
    table: 'presence_stream',
    what: 'states of presence',
    why: 'clients say anew whether their user is online',
  },
  {
    table: 'local_media_repository',
    where: 't.url_cache IS NOT NULL',
    what: 'pictures of previews',
    why: 'previews are made again when somebody asks for them',
  },
  {
    table: 'local_media_repository_thumbnails',
    what: 'thumbnails',
    why: 'they are made again when somebody asks for them',
  },
  {
    table: 'remote_media_cache_thumbnails',
    what: 'thumbnails of files of other servers',
    why: 'they are made again when somebody asks for them',
  },
  {
    table: 'device_lists_remote_cache',
    what: "devices of other servers' users",
    why: 'they are fetched again when somebody asks for them',
  },
  {
    table: 'login_tokens',
    what: 'login tokens',
    why: 'they hold for two minutes: logins through a browser that are under way have to be begun again',
  },
  { table: 'open_id_tokens', what: 'OpenID tokens', why: 'they hold for an hour, and clients get new ones' },
  {
    table: 'ui_auth_sessions',
    what: 'sessions of registrations and proofs of identity',
    why: 'what somebody is in the middle of has to be begun again',
  },
  {
    table: 'delayed_events',
    where: 'NOT t.is_processed',
    what: 'events that are to be sent later',
    why: 'clients schedule them anew',
  },
  {
    table: 'blocked_rooms',
    what: 'rooms that nobody may join',
    why: 'this server cannot block rooms: leave them empty and remove their aliases',
  },
  {
    table: 'ratelimit_override',
    what: 'rate limits of single users',
    why: 'this server has rate limits for all users and for application services',
  },
  {
    table: 'account_validity',
    what: 'dates at which accounts end',
    why: 'accounts do not end by themselves here: deactivate them',
  },
  {
    table: 'device_auth_providers',
    what: 'devices that were logged in by another service',
    why: 'they stay logged in, but that service cannot log them out any more',
  },
  {
    table: 'monthly_active_users',
    what: 'monthly active users',
    why: 'they are counted anew',
  },
]

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
  const leftOut: LeftOut[] = []
  for (const { what, why, ...rows } of LEFT_BEHIND) {
    const count = await countRows(source, rows)
    if (count > 0) leftOut.push({ what, count, why })
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
    leftOut,
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
