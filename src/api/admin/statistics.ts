import { z } from 'zod'
import { invalidParam } from '../../protocol/errors.js'
import { route } from '../../http/route.js'
import { directionParam, nextOf, pageParams, timeParam } from './paging.js'

const ORDERS = {
  user_id: 'userId',
  displayname: 'displayName',
  media_length: 'bytes',
  media_count: 'files',
} as const

/** How much users have uploaded. */
export const listMediaStatistics = route({
  operationId: 'adminListMediaStatistics',
  method: 'GET',
  path: '/_synapse/admin/v1/statistics/users/media',
  auth: 'admin',
  query: z.looseObject({
    ...pageParams,
    order_by: z.enum(Object.keys(ORDERS) as [keyof typeof ORDERS]).default('user_id'),
    dir: directionParam,
    from_ts: timeParam.optional(),
    until_ts: timeParam.optional(),
    search_term: z.string().optional(),
  }),
  async handler({ query }, { serverStatistics }) {
    const { from_ts: fromTs, until_ts: untilTs, search_term: search } = query
    if (search === '') throw invalidParam('Query parameter search_term cannot be an empty string')
    if (fromTs !== undefined && untilTs !== undefined && untilTs <= fromTs) {
      throw invalidParam('Query parameter until_ts must be greater than from_ts')
    }
    const { users, total } = await serverStatistics.listMediaUse({
      fromTs,
      untilTs,
      search,
      orderBy: ORDERS[query.order_by],
      isDescending: query.dir === 'b',
      from: query.from,
      limit: query.limit,
    })
    const next = nextOf(query, total)
    return {
      users: users.map((user) => ({
        user_id: user.userId,
        displayname: user.displayName ?? null,
        media_count: user.files,
        media_length: user.bytes,
      })),
      total,
      ...(next !== undefined && { next_token: next }),
    }
  },
})

/** The rooms that take most of the database, ten at most. */
export const listRoomSizes = route({
  operationId: 'adminListRoomSizes',
  method: 'GET',
  path: '/_synapse/admin/v1/statistics/database/rooms',
  auth: 'admin',
  async handler(_input, { serverStatistics }) {
    const rooms = await serverStatistics.listLargestRooms(10)
    return { rooms: rooms.map(({ roomId, bytes }) => ({ room_id: roomId, estimated_size: bytes })) }
  },
})
