import { readForm } from '../../http/form.js'
import { route, type RequestInfo } from '../../http/route.js'
import { missingParam, unrecognized } from '../../protocol/errors.js'
import type { OidcAnswer } from '../../services/sign-on/oidc-provider.js'
import type { Services } from '../../services/services.js'
import { answerPage, requestOf } from './sign-on-response.js'

/** Synapse's: it is registered at the providers. */
const PATH = '/_synapse/client/oidc/callback'

/** Where a provider of OpenID Connect sends people back to. */
export const oidcCallback = route({
  operationId: 'oidcCallback',
  method: 'GET',
  path: PATH,
  auth: 'none',
  rateLimit: 'signOn',
  handler: ({ request }, services) =>
    comeBack(request, services, () => Promise.resolve(requestOf(request, services.signOn).query)),
})

/** The same as a form that the provider's page sends (`response_mode=form_post`). */
export const oidcFormCallback = route({
  operationId: 'oidcFormCallback',
  method: 'POST',
  path: PATH,
  auth: 'none',
  rateLimit: 'signOn',
  handler: ({ request }, services) => comeBack(request, services, () => readForm(request)),
})

async function comeBack(
  request: RequestInfo,
  { signOn, signOnPages, oidcSignOns }: Services,
  read: () => Promise<OidcAnswer>,
) {
  if (oidcSignOns === undefined) throw unrecognized()
  return answerPage(signOnPages, async () => {
    const answer = await read()
    const state = answer.get('state')
    if (state === undefined || state === '') throw missingParam('state')
    const attempt = await signOn.take(state, requestOf(request, signOn).browser)
    return signOn.complete(attempt, await oidcSignOns.identify(attempt, answer))
  })
}
