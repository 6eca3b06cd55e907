import { z } from 'zod'
import { route } from '../../http/route.js'
import type { JsonObject } from '../../util/json.js'
import { MAX_PDU_BODY_BYTES, pduBody } from './handed-event.js'

/** https://spec.matrix.org/latest/server-server-api/#put_matrixfederationv1exchange_third_party_inviteroomid */
export const exchangeThirdPartyInvite = route({
  operationId: 'federationExchangeThirdPartyInvite',
  method: 'PUT',
  path: '/_matrix/federation/v1/exchange_third_party_invite/:roomId',
  auth: 'federation',
  maxBodyBytes: MAX_PDU_BODY_BYTES,
  body: pduBody,
  async handler({ params, body, requester }, { thirdPartyInvites }) {
    await thirdPartyInvites.exchangeFor(requester.origin, params.roomId, body as JsonObject)
    return {}
  },
})

const bindings = {
  path: '/_matrix/federation/v1/3pid/onbind',
  auth: 'none',
  maxBodyBytes: MAX_PDU_BODY_BYTES,
  body: z.looseObject({ invites: z.array(z.unknown()) }),
} as const

/**
 * Identity servers sign nothing but the proofs inside, which are worth nothing without the room's own keys.
 * https://spec.matrix.org/latest/server-server-api/#put_matrixfederationv13pidonbind
 */
export const onBindThirdPartyIdentifier = route({
  ...bindings,
  operationId: 'federationOnBindThirdPartyIdentifier',
  method: 'PUT',
  async handler({ body }, { thirdPartyInvites }) {
    await thirdPartyInvites.bind(body.invites)
    return {}
  },
})

/** The same with the method that identity servers use, whatever the specification says. */
export const onBindThirdPartyIdentifierByPost = route({
  ...bindings,
  operationId: 'federationOnBindThirdPartyIdentifierByPost',
  method: 'POST',
  async handler({ body }, { thirdPartyInvites }) {
    await thirdPartyInvites.bind(body.invites)
    return {}
  },
})
