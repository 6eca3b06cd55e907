import { z } from 'zod'
import { route } from '../../http/route.js'
import type { RegistrationTokenAdministration } from '../../services/administration/registration-token-administration.js'
import type { JsonObject } from '../../util/json.js'
import { optionalString } from '../client/json-object.js'
import { flagParam } from './paging.js'

type Token = Awaited<ReturnType<RegistrationTokenAdministration['get']>>

const limits = {
  uses_allowed: z.number().int().min(0).nullable().optional(),
  expiry_time: z.number().int().min(0).nullable().optional(),
}

export const listRegistrationTokens = route({
  operationId: 'adminListRegistrationTokens',
  method: 'GET',
  path: '/_synapse/admin/v1/registration_tokens',
  auth: 'admin',
  accounts: 'own',
  query: z.looseObject({ valid: flagParam }),
  async handler({ query }, { registrationTokenAdministration }) {
    return { registration_tokens: (await registrationTokenAdministration.list(query.valid)).map(tokenJson) }
  },
})

export const createRegistrationToken = route({
  operationId: 'adminCreateRegistrationToken',
  method: 'POST',
  path: '/_synapse/admin/v1/registration_tokens/new',
  auth: 'admin',
  accounts: 'own',
  emptyBody: true,
  body: z.looseObject({
    token: optionalString,
    length: z.number().int().min(1).max(64).nullish(),
    ...limits,
  }),
  async handler({ body }, { registrationTokenAdministration }) {
    const wish = { token: body.token, length: body.length ?? 16 }
    return tokenJson(
      await registrationTokenAdministration.create(wish, {
        usesAllowed: body.uses_allowed,
        expiryTs: body.expiry_time,
      }),
    )
  },
})

export const getRegistrationToken = route({
  operationId: 'adminGetRegistrationToken',
  method: 'GET',
  path: '/_synapse/admin/v1/registration_tokens/:token',
  auth: 'admin',
  accounts: 'own',
  handler: async ({ params }, { registrationTokenAdministration }) =>
    tokenJson(await registrationTokenAdministration.get(params.token)),
})

export const updateRegistrationToken = route({
  operationId: 'adminUpdateRegistrationToken',
  method: 'PUT',
  path: '/_synapse/admin/v1/registration_tokens/:token',
  auth: 'admin',
  accounts: 'own',
  body: z.looseObject(limits),
  async handler({ params, body }, { registrationTokenAdministration }) {
    return tokenJson(
      await registrationTokenAdministration.update(params.token, {
        usesAllowed: body.uses_allowed,
        expiryTs: body.expiry_time,
      }),
    )
  },
})

export const deleteRegistrationToken = route({
  operationId: 'adminDeleteRegistrationToken',
  method: 'DELETE',
  path: '/_synapse/admin/v1/registration_tokens/:token',
  auth: 'admin',
  accounts: 'own',
  async handler({ params }, { registrationTokenAdministration }) {
    await registrationTokenAdministration.delete(params.token)
    return {}
  },
})

function tokenJson(token: Token): JsonObject {
  return {
    token: token.token,
    uses_allowed: token.usesAllowed ?? null,
    pending: token.pending,
    completed: token.completed,
    expiry_time: token.expiryTs ?? null,
  }
}
