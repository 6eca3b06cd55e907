import { z } from 'zod'
import { html, redirect, type HttpResponse } from '../../http/responses.js'
import { route } from '../../http/route.js'
import type { ValidationAnswer } from '../../services/accounts/validation-pages.js'

const part = z.string().regex(/^[0-9a-zA-Z.=_-]{1,255}$/, 'is not what a link of this server says')
const query = z.looseObject({ token: part, client_secret: part, sid: part })

function linkOf(of: z.output<typeof query>) {
  return { token: of.token, clientSecret: of.client_secret, sid: of.sid }
}

function toResponse(answer: ValidationAnswer): HttpResponse {
  return 'location' in answer ? redirect(answer.location) : html(answer.page, { status: answer.status })
}

/** Where the mail to somebody leads who adds an address to their account. */
export const submitAddThreepidToken = route({
  operationId: 'submitAddThreepidToken',
  method: 'GET',
  path: '/_matrix/client/unstable/add_threepid/email/submit_token',
  auth: 'none',
  accounts: 'own',
  query,
  async handler({ query: link }, { validationPages }) {
    return toResponse(await validationPages.confirm('add', linkOf(link)))
  },
})

/** Where the mail to somebody leads who makes an account. */
export const submitRegistrationToken = route({
  operationId: 'submitRegistrationToken',
  method: 'GET',
  path: '/_matrix/client/unstable/registration/email/submit_token',
  auth: 'none',
  accounts: 'own',
  query,
  async handler({ query: link }, { validationPages }) {
    return toResponse(await validationPages.confirm('register', linkOf(link)))
  },
})

const PASSWORD_PATH = '/_synapse/client/password_reset/email/submit_token'

/** Asks whether the password is to change: a program that only looks at links must not let it. */
export const passwordResetPage = route({
  operationId: 'passwordResetPage',
  method: 'GET',
  path: PASSWORD_PATH,
  auth: 'none',
  accounts: 'own',
  query,
  async handler({ query: link }, { validationPages }) {
    return html(await validationPages.renderQuestion(linkOf(link)))
  },
})

/** Whoever has the mail lets the password change. */
export const submitPasswordResetToken = route({
  operationId: 'submitPasswordResetToken',
  method: 'POST',
  path: PASSWORD_PATH,
  auth: 'none',
  accounts: 'own',
  query,
  async handler({ query: link }, { validationPages }) {
    return toResponse(await validationPages.confirm('reset', linkOf(link)))
  },
})
