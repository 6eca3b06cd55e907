import { z } from 'zod'
import { redirect } from '../../http/responses.js'
import { route, type RequestInfo } from '../../http/route.js'
import type { Services } from '../../services/services.js'
import { answerUnlessRefused, canonicalUrl, requestOf } from '../pages/sign-on-response.js'

const query = z.looseObject({ redirectUrl: z.string().optional() })

interface Wish {
  readonly providerId: string | undefined
  readonly redirectUrl: string | undefined
}

function begin(wish: Wish, request: RequestInfo, { signOn, signOnPages }: Services) {
  const canonical = canonicalUrl(request, signOn.publicBaseUrl)
  if (canonical !== undefined) return Promise.resolve(redirect(canonical))
  return answerUnlessRefused(signOnPages, () => signOn.begin(wish, requestOf(request, signOn)))
}

/**
 * Sends a browser to where people sign on. The older path is that of CAS before it was one of several.
 * https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3loginssoredirect
 */
export const redirectToSSO = route({
  operationId: 'redirectToSSO',
  method: 'GET',
  path: '/_matrix/client/v3/login/sso/redirect',
  aliases: ['/_matrix/client/v3/login/cas/redirect', '/_matrix/client/r0/login/cas/redirect'],
  auth: 'none',
  accounts: 'own',
  query,
  handler({ query: { redirectUrl }, request }, services) {
    return begin({ providerId: undefined, redirectUrl }, request, services)
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3loginssoredirectidpid */
export const redirectToIdP = route({
  operationId: 'redirectToIdP',
  method: 'GET',
  path: '/_matrix/client/v3/login/sso/redirect/:idpId',
  auth: 'none',
  accounts: 'own',
  query,
  handler({ params, query: { redirectUrl }, request }, services) {
    return begin({ providerId: params.idpId, redirectUrl }, request, services)
  },
})
