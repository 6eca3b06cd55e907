import { z } from 'zod'
import { route } from '../../http/route.js'

const PATH = '/_matrix/client/v3/directory/list/appservice/:networkId/:roomId'

/** https://spec.matrix.org/latest/application-service-api/#put_matrixclientv3directorylistappservicenetworkidroomid */
export const updateAppserviceRoomDirectoryVisibility = route({
  operationId: 'updateAppserviceRoomDirectoryVisibility',
  method: 'PUT',
  path: PATH,
  auth: 'appservice',
  emptyBody: true,
  body: z.looseObject({ visibility: z.enum(['public', 'private']).default('public') }),
  async handler({ params, requester, body }, { publicRooms }) {
    await publicRooms.setNetworkVisibility(requester, params, body.visibility)
    return {}
  },
})

/** As the first, for services that delete; no part of the specification, but clients of Synapse's know it. */
export const deleteAppserviceRoomDirectoryEntry = route({
  operationId: 'deleteAppserviceRoomDirectoryEntry',
  method: 'DELETE',
  path: PATH,
  auth: 'appservice',
  async handler({ params, requester }, { publicRooms }) {
    await publicRooms.setNetworkVisibility(requester, params, 'private')
    return {}
  },
})
