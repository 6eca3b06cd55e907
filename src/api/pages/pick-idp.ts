import { z } from 'zod'
import { route } from '../../http/route.js'
import { answerPage, requestOf } from './sign-on-response.js'

/** Where people choose at which service they sign on. */
export const pickIdp = route({
  operationId: 'pickIdp',
  method: 'GET',
  path: '/_synapse/client/pick_idp',
  auth: 'none',
  accounts: 'own',
  query: z.looseObject({ redirectUrl: z.string().optional(), idp: z.string().optional() }),
  handler({ query, request }, { signOn, signOnPages }) {
    const { redirectUrl, idp } = query
    // An empty one is none.
    const wish = { redirectUrl, providerId: idp === '' ? undefined : idp }
    return answerPage(signOnPages, () => signOn.pick(wish, requestOf(request, signOn)))
  },
})
