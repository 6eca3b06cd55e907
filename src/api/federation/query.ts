import { z } from 'zod'
import { invalidParam } from '../../protocol/errors.js'
import { parseRoomAlias, parseUserId } from '../../protocol/ids.js'
import { route } from '../../http/route.js'

/** https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1querydirectory */
export const queryRoomDirectory = route({
  operationId: 'federationQueryRoomDirectory',
  method: 'GET',
  path: '/_matrix/federation/v1/query/directory',
  auth: 'federation',
  query: z.looseObject({ room_alias: z.string() }),
  async handler({ query }, { aliases }) {
    const alias = parseRoomAlias(query.room_alias)
    if (alias === undefined) throw invalidParam('room_alias is not a room alias')
    const { roomId, servers } = await aliases.resolveLocal(alias)
    return { room_id: roomId, servers }
  },
})

/** https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1queryprofile */
export const queryProfile = route({
  operationId: 'federationQueryProfile',
  method: 'GET',
  path: '/_matrix/federation/v1/query/profile',
  auth: 'federation',
  query: z.looseObject({ user_id: z.string(), field: z.string().max(255).optional() }),
  async handler({ query }, { profiles }) {
    const userId = parseUserId(query.user_id)
    if (userId === undefined) throw invalidParam('user_id is not a user ID')
    return profiles.getForServer(userId, query.field)
  },
})
