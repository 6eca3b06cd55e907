import { z } from 'zod'
import { route } from '../../http/route.js'

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv1mutual_rooms */
export const getMutualRooms = route({
  operationId: 'getMutualRooms',
  method: 'GET',
  path: '/_matrix/client/v1/mutual_rooms',
  aliases: ['/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms'],
  auth: 'user',
  query: z.looseObject({
    user_id: z.string(),
    from: z.string().optional(),
    batch_token: z.string().optional(),
  }),
  async handler({ requester, query }, { mutualRooms }) {
    // The proposal called it `batch_token`, and its answer's `next_batch_token`.
    const page = await mutualRooms.list(requester.userId, query.user_id, query.from ?? query.batch_token)
    return {
      joined: page.joined,
      count: page.count,
      ...(page.nextBatch !== undefined && { next_batch: page.nextBatch, next_batch_token: page.nextBatch }),
    }
  },
})
