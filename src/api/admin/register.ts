import { z } from 'zod'
import { route } from '../../http/route.js'
import { optionalBoolean, optionalString } from '../client/json-object.js'
import { sessionJson } from '../client/session-response.js'

/** A nonce for `registerWithSharedSecret`. */
export const getRegistrationNonce = route({
  operationId: 'adminGetRegistrationNonce',
  method: 'GET',
  path: '/_synapse/admin/v1/register',
  auth: 'none',
  accounts: 'own',
  async handler(_input, { sharedSecretRegistration }) {
    return Promise.resolve({ nonce: sharedSecretRegistration.createNonce() })
  },
})

/** Makes an account for whoever knows `registration_shared_secret`, which signs the fields. */
export const registerWithSharedSecret = route({
  operationId: 'adminRegisterWithSharedSecret',
  method: 'POST',
  path: '/_synapse/admin/v1/register',
  auth: 'none',
  accounts: 'own',
  body: z.looseObject({
    nonce: z.string(),
    username: z.string(),
    password: z.string(),
    displayname: optionalString,
    admin: optionalBoolean,
    user_type: optionalString,
    mac: z.string(),
  }),
  async handler({ body }, { sharedSecretRegistration }) {
    const registered = await sharedSecretRegistration.register({
      nonce: body.nonce,
      username: body.username,
      password: body.password,
      displayName: body.displayname,
      isAdmin: body.admin ?? false,
      userType: body.user_type,
      mac: body.mac,
    })
    return sessionJson(registered.userId, registered.session)
  },
})
