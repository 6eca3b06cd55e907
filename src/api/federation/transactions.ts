import { z } from 'zod'
import { route } from '../../http/route.js'
import { isJsonObject } from '../../util/json.js'

/** 50 events of 64 KiB and 100 EDUs that may be as large, with the escapes of other servers' JSON. */
const MAX_TRANSACTION_BYTES = 32 * 1024 * 1024

/** https://spec.matrix.org/latest/server-server-api/#put_matrixfederationv1sendtxnid */
export const sendTransaction = route({
  operationId: 'federationSendTransaction',
  method: 'PUT',
  path: '/_matrix/federation/v1/send/:txnId',
  auth: 'federation',
  body: z.looseObject({ pdus: z.array(z.unknown()).optional(), edus: z.array(z.unknown()).optional() }),
  maxBodyBytes: MAX_TRANSACTION_BYTES,
  allowNul: true,
  async handler({ params, body, requester, request }, { inboundTransactions }) {
    const json = isJsonObject(body) ? body : {}
    return inboundTransactions.receive(requester.origin, params.txnId, {
      json,
      text: request.rawBody ?? '{}',
    })
  },
})
