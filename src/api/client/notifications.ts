import { z } from 'zod'
import { route } from '../../http/route.js'

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3notifications */
export const getNotifications = route({
  operationId: 'getNotifications',
  method: 'GET',
  path: '/_matrix/client/v3/notifications',
  auth: 'user',
  query: z.looseObject({
    from: z.string().optional(),
    limit: z.coerce.number().int().optional(),
    only: z.string().optional(),
  }),
  async handler({ requester, query }, { notificationList }) {
    return notificationList.list(requester, {
      from: query.from,
      limit: query.limit,
      onlyHighlights: query.only?.split(',').includes('highlight') ?? false,
    })
  },
})
