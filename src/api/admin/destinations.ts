import { z } from 'zod'
import { route } from '../../http/route.js'
import type { DestinationOverview } from '../../services/administration/destination-overviews.js'
import type { JsonObject } from '../../util/json.js'
import { directionParam, nextOf, pageParams } from './paging.js'

const ORDERS = [
  'destination',
  'retry_last_ts',
  'retry_interval',
  'failure_ts',
  'last_successful_stream_ordering',
] as const

export const listDestinations = route({
  operationId: 'adminListDestinations',
  method: 'GET',
  path: '/_synapse/admin/v1/federation/destinations',
  auth: 'admin',
  query: z.looseObject({
    ...pageParams,
    destination: z.string().optional(),
    order_by: z.enum(ORDERS).default('destination'),
    dir: directionParam,
  }),
  async handler({ query }, { destinationOverviews }) {
    const all = (await destinationOverviews.list(query.destination)).map(destinationJson)
    const keyOf = (entry: JsonObject): string | number => {
      const value = entry[query.order_by]
      return typeof value === 'string' || typeof value === 'number' ? value : -1
    }
    const sign = query.dir === 'b' ? -1 : 1
    all.sort((a, b) => sign * (keyOf(a) < keyOf(b) ? -1 : keyOf(a) > keyOf(b) ? 1 : 0))
    const next = nextOf(query, all.length)
    return {
      destinations: all.slice(query.from, query.from + query.limit),
      total: all.length,
      ...(next !== undefined && { next_token: String(next) }),
    }
  },
})

export const getDestination = route({
  operationId: 'adminGetDestination',
  method: 'GET',
  path: '/_synapse/admin/v1/federation/destinations/:serverName',
  auth: 'admin',
  handler: async ({ params }, { destinationOverviews }) =>
    destinationJson(await destinationOverviews.show(params.serverName)),
})

export const listRoomsOfDestination = route({
  operationId: 'adminListRoomsOfDestination',
  method: 'GET',
  path: '/_synapse/admin/v1/federation/destinations/:serverName/rooms',
  auth: 'admin',
  query: z.looseObject({ ...pageParams, dir: directionParam }),
  async handler({ params, query }, { destinationOverviews }) {
    const rooms = await destinationOverviews.listRooms(params.serverName)
    if (query.dir === 'b') rooms.reverse()
    const next = nextOf(query, rooms.length)
    return {
      rooms: rooms
        .slice(query.from, query.from + query.limit)
        .map(({ roomId, streamOrdering }) => ({ room_id: roomId, stream_ordering: streamOrdering })),
      total: rooms.length,
      ...(next !== undefined && { next_token: String(next) }),
    }
  },
})

/** Has a server that fails tried again at once. */
export const resetDestination = route({
  operationId: 'adminResetDestination',
  method: 'POST',
  path: '/_synapse/admin/v1/federation/destinations/:serverName/reset_connection',
  auth: 'admin',
  async handler({ params }, { destinationOverviews }) {
    await destinationOverviews.reset(params.serverName)
    return {}
  },
})

/** Where the last attempt is not known, it is left alone from its first failure to the time of the next. */
function destinationJson({ serverName, failure }: DestinationOverview): JsonObject {
  const lastTs = failure && (failure.lastFailedTs === 0 ? failure.failingSinceTs : failure.lastFailedTs)
  return {
    destination: serverName,
    retry_last_ts: lastTs ?? 0,
    // A server that is to be tried at once is left alone no longer.
    retry_interval: failure && lastTs !== undefined ? Math.max(0, failure.retryAtTs - lastTs) : 0,
    failure_ts: failure?.failingSinceTs ?? null,
    last_successful_stream_ordering: null,
  }
}
