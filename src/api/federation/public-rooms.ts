import { z } from 'zod'
import { route } from '../../http/route.js'

/** None stands for the whole list, as far as a page goes. */
function limitOf(limit: number | null | undefined): number | undefined {
  return limit === 0 ? undefined : (limit ?? undefined)
}

/** A network beside all networks says nothing more. */
function networksOf(
  allNetworks: boolean,
  network: string | null | undefined,
): { allNetworks: boolean; network: string | undefined } {
  return { allNetworks, network: allNetworks ? undefined : (network ?? undefined) }
}

/** https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1publicrooms */
export const getPublicRooms = route({
  operationId: 'federationGetPublicRooms',
  method: 'GET',
  path: '/_matrix/federation/v1/publicRooms',
  auth: 'federation',
  query: z.looseObject({
    limit: z.coerce.number().int().optional(),
    since: z.string().optional(),
    include_all_networks: z.enum(['true', 'false']).optional(),
    third_party_instance_id: z.string().optional(),
  }),
  async handler({ query }, { publicRooms }) {
    return publicRooms.listForServer({
      limit: limitOf(query.limit),
      since: query.since,
      searchTerm: undefined,
      roomTypes: undefined,
      ...networksOf(query.include_all_networks === 'true', query.third_party_instance_id),
    })
  },
})

/** https://spec.matrix.org/latest/server-server-api/#post_matrixfederationv1publicrooms */
export const queryPublicRooms = route({
  operationId: 'federationQueryPublicRooms',
  method: 'POST',
  path: '/_matrix/federation/v1/publicRooms',
  auth: 'federation',
  emptyBody: true,
  body: z.looseObject({
    limit: z.number().int().nullish(),
    since: z.string().nullish(),
    filter: z
      .looseObject({
        generic_search_term: z.string().nullish(),
        room_types: z.array(z.string().nullable()).max(100).nullish(),
      })
      .nullish(),
    include_all_networks: z.boolean().nullish(),
    third_party_instance_id: z.string().nullish(),
  }),
  async handler({ body }, { publicRooms }) {
    return publicRooms.listForServer({
      limit: limitOf(body.limit),
      since: body.since ?? undefined,
      searchTerm: body.filter?.generic_search_term ?? undefined,
      roomTypes: body.filter?.room_types ?? undefined,
      ...networksOf(body.include_all_networks === true, body.third_party_instance_id),
    })
  },
})
