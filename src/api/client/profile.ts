import { z } from 'zod'
import { route } from '../../http/route.js'
import { jsonObject } from './json-object.js'

const PROFILE = '/_matrix/client/v3/profile/:userId'
/** Where clients look for fields beyond name and avatar that were made before those were specified. */
const EARLY = '/_matrix/client/unstable/uk.tcpip.msc4133/profile'

/** MSC4069: `false` leaves the memberships as they are. */
const propagateQuery = z.looseObject({
  'org.matrix.msc4069.propagate': z
    .enum(['true', 'false'])
    .optional()
    .transform((value) => value !== 'false'),
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3profileuserid */
export const getUserProfile = route({
  operationId: 'getUserProfile',
  method: 'GET',
  path: PROFILE,
  aliases: [`${EARLY}/:userId`],
  auth: 'optionalUser',
  async handler({ params, requester }, { profiles }) {
    return profiles.get(requester, params.userId)
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3profileuseridkeyname */
export const getProfileField = route({
  operationId: 'getProfileField',
  method: 'GET',
  path: `${PROFILE}/:keyName`,
  aliases: [`${EARLY}/:userId/:keyName`],
  auth: 'optionalUser',
  async handler({ params, requester }, { profiles }) {
    return { [params.keyName]: await profiles.getField(requester, params.userId, params.keyName) }
  },
})

/** https://spec.matrix.org/latest/client-server-api/#put_matrixclientv3profileuseridkeyname */
export const setProfileField = route({
  operationId: 'setProfileField',
  method: 'PUT',
  path: `${PROFILE}/:keyName`,
  aliases: [`${EARLY}/:userId/:keyName`],
  auth: 'userOrGuest',
  query: propagateQuery,
  body: jsonObject,
  async handler({ params, query, requester, body }, { profiles }) {
    const propagate = query['org.matrix.msc4069.propagate']
    await profiles.setField(requester, params.userId, { field: params.keyName, body, propagate })
    return {}
  },
})

/** https://spec.matrix.org/latest/client-server-api/#delete_matrixclientv3profileuseridkeyname */
export const deleteProfileField = route({
  operationId: 'deleteProfileField',
  method: 'DELETE',
  path: `${PROFILE}/:keyName`,
  aliases: [`${EARLY}/:userId/:keyName`],
  auth: 'userOrGuest',
  query: propagateQuery,
  async handler({ params, query, requester }, { profiles }) {
    const propagate = query['org.matrix.msc4069.propagate']
    await profiles.deleteField(requester, params.userId, { field: params.keyName, propagate })
    return {}
  },
})
