import { z } from 'zod'
import { route } from '../../http/route.js'
import { isJsonObject } from '../../util/json.js'

/** 50 events of 64 KiB and 100 EDUs that may be as large, and some more: what other servers take is no more either. */
const MAX_TRANSACTION_BYTES = 200 * 64 * 1024
/** 50 events of the greatest size that hold nothing but empty lists come to 2.2 million: nobody can spoil a transaction. */
const MAX_TRANSACTION_PARTS = 2_500_000

/** https://spec.matrix.org/latest/server-server-api/#put_matrixfederationv1sendtxnid */
export const sendTransaction = route({
  operationId: 'federationSendTransaction',
  method: 'PUT',
  path: '/_matrix/federation/v1/send/:txnId',
  auth: 'federation',
  body: z.looseObject({ pdus: z.array(z.unknown()).optional(), edus: z.array(z.unknown()).optional() }),
  maxBodyBytes: MAX_TRANSACTION_BYTES,
  maxBodyParts: MAX_TRANSACTION_PARTS,
  allowNul: true,
  async handler({ params, body, requester, request }, { inboundTransactions }) {
    const json = isJsonObject(body) ? body : {}
    return inboundTransactions.receive(requester.origin, params.txnId, {
      json,
      text: request.rawBody ?? '{}',
    })
  },
})
