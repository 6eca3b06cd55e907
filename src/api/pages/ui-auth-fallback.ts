import { z } from 'zod'
import { readForm } from '../../http/form.js'
import { html, redirect } from '../../http/responses.js'
import { route } from '../../http/route.js'
import { pathOf } from '../../http/ui-auth-gate.js'
import { missingParam } from '../../protocol/errors.js'
import { answerPage, requestOf } from './sign-on-response.js'

/** Done at a service where people sign on. */
const SIGN_ON_STAGE = 'm.login.sso'
/** At which one, where somebody is known at several: a proposal (MSC4450). */
const IDP_PARAM = 'io.element.idp_id'
/** Done at the authentication service alone. */
const APPROVAL_STAGES: ReadonlySet<string> = new Set(['m.oauth', 'org.matrix.cross_signing_reset'])
const PATH = '/_matrix/client/v3/auth/:authType/fallback/web'

/** A page to do a stage on. https://spec.matrix.org/latest/client-server-api/#fallback */
export const uiAuthPage = route({
  operationId: 'uiAuthPage',
  method: 'GET',
  path: PATH,
  auth: 'none',
  query: z.looseObject({ session: z.string(), [IDP_PARAM]: z.string().optional() }),
  async handler({ params, query, request }, services) {
    const { authenticationService, uiAuthPages, signOn, signOnPages } = services
    if (params.authType === SIGN_ON_STAGE) {
      const wish = { sessionId: query.session, providerId: query[IDP_PARAM] }
      return answerPage(signOnPages, () => signOn.confirm(wish, requestOf(request, signOn)))
    }
    if (authenticationService !== undefined && APPROVAL_STAGES.has(params.authType)) {
      return redirect(await authenticationService.getKeyResetUrl())
    }
    const address = { type: params.authType, session: query.session, path: pathOf(request.url) }
    const { page, status } = await uiAuthPages.render(address)
    return html(page, { status })
  },
})

/** What was filled in on it: a form, with the session in it or in the address. */
export const submitUiAuthPage = route({
  operationId: 'submitUiAuthPage',
  method: 'POST',
  path: PATH,
  auth: 'none',
  rateLimit: 'registrationTokenValidity',
  query: z.looseObject({ session: z.string().optional() }),
  async handler({ params, query, request }, { uiAuthPages }) {
    const fields = await readForm(request)
    const session = query.session ?? fields.get('session')
    if (session === undefined) throw missingParam('session')
    const address = { type: params.authType, session, path: pathOf(request.url) }
    const { page, status } = await uiAuthPages.submit(address, fields)
    return html(page, { status })
  },
})
