import { route } from '../../http/route.js'

/** https://spec.matrix.org/latest/server-server-api/#get_matrixkeyv2server */
export const getServerKey = route({
  operationId: 'federationGetServerKey',
  method: 'GET',
  path: '/_matrix/key/v2/server',
  // An older form names one of the keys, and gets all just the same.
  aliases: ['/_matrix/key/v2/server/'],
  auth: 'none',
  handler: async (_input, { ownKeys }) => Promise.resolve(ownKeys.document()),
})

/** An older form, which names a key: whichever that is, all are answered. */
export const getServerKeyById = route({
  operationId: 'federationGetServerKeyById',
  method: 'GET',
  path: '/_matrix/key/v2/server/:keyId',
  auth: 'none',
  handler: async (_input, { ownKeys }) => Promise.resolve(ownKeys.document()),
})
