import { z } from 'zod'
import { route } from '../../http/route.js'
import { optionalBoolean, optionalString } from './json-object.js'

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3directorylistroomroomid */
export const getRoomVisibilityOnDirectory = route({
  operationId: 'getRoomVisibilityOnDirectory',
  method: 'GET',
  path: '/_matrix/client/v3/directory/list/room/:roomId',
  auth: 'none',
  async handler({ params }, { publicRooms }) {
    return { visibility: await publicRooms.getVisibility(params.roomId) }
  },
})

/** https://spec.matrix.org/latest/client-server-api/#put_matrixclientv3directorylistroomroomid */
export const setRoomVisibilityOnDirectory = route({
  operationId: 'setRoomVisibilityOnDirectory',
  method: 'PUT',
  path: '/_matrix/client/v3/directory/list/room/:roomId',
  auth: 'user',
  emptyBody: true,
  body: z.looseObject({ visibility: z.enum(['public', 'private']).default('public') }),
  async handler({ params, requester, body }, { publicRooms }) {
    await publicRooms.setVisibility(requester, params.roomId, body.visibility)
    return {}
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3publicrooms */
export const getPublicRooms = route({
  operationId: 'getPublicRooms',
  method: 'GET',
  path: '/_matrix/client/v3/publicRooms',
  auth: 'optionalUser',
  query: z.looseObject({
    limit: z.coerce.number().int().optional(),
    since: z.string().optional(),
    server: z.string().optional(),
  }),
  async handler({ requester, query }, { publicRooms }) {
    return publicRooms.list(requester, {
      server: query.server,
      limit: query.limit,
      since: query.since,
      searchTerm: undefined,
      roomTypes: undefined,
    })
  },
})

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3publicrooms */
export const queryPublicRooms = route({
  operationId: 'queryPublicRooms',
  method: 'POST',
  path: '/_matrix/client/v3/publicRooms',
  auth: 'userOrGuest',
  emptyBody: true,
  query: z.looseObject({ server: z.string().optional() }),
  body: z.looseObject({
    limit: z.number().int().nullish(),
    since: optionalString,
    filter: z
      .looseObject({
        generic_search_term: optionalString,
        room_types: z.array(z.string().nullable()).max(100).nullish(),
      })
      .nullish(),
    include_all_networks: optionalBoolean,
    third_party_instance_id: optionalString,
  }),
  async handler({ requester, query, body }, { publicRooms }) {
    return publicRooms.list(requester, {
      server: query.server,
      limit: body.limit ?? undefined,
      since: body.since,
      searchTerm: body.filter?.generic_search_term,
      roomTypes: body.filter?.room_types ?? undefined,
      network: body.third_party_instance_id,
      allNetworks: body.include_all_networks === true,
    })
  },
})
