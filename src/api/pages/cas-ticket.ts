import { z } from 'zod'
import { route } from '../../http/route.js'
import { missingParam, unrecognized } from '../../protocol/errors.js'
import type { SignOnPurpose } from '../../services/sign-on/identity-provider.js'
import { answerPage, browserOf, isBrowser } from './sign-on-response.js'

/** Where a CAS server sends people back to, with a ticket. The path is Synapse's: CAS servers know it. */
export const casTicket = route({
  operationId: 'casTicket',
  method: 'GET',
  path: '/_matrix/client/v3/login/cas/ticket',
  aliases: ['/_matrix/client/api/v1/login/cas/ticket', '/_matrix/client/unstable/login/cas/ticket'],
  auth: 'none',
  accounts: 'own',
  rateLimit: 'signOn',
  query: z.looseObject({
    ticket: z.string().max(1024).optional(),
    redirectUrl: z.string().optional(),
    session: z.string().optional(),
    state: z.string().optional(),
  }),
  async handler({ query, request }, { cas, signOn, signOnPages }) {
    if (cas === undefined) throw unrecognized()
    const { ticket, state } = query
    if (ticket === undefined || ticket === '') throw missingParam('ticket')
    const purpose = purposeOf(query)
    return answerPage(signOnPages, async () => {
      const sender = { state, browser: browserOf(request, signOn), isBrowser: isBrowser(request) }
      const attempt = await signOn.takeFor({ provider: cas, purpose }, sender)
      return signOn.complete(attempt, await cas.validate(ticket, { purpose, state }))
    })
  },
})

function purposeOf(query: { redirectUrl?: string | undefined; session?: string | undefined }): SignOnPurpose {
  if (query.session) return { kind: 'confirm', sessionId: query.session }
  if (query.redirectUrl) return { kind: 'login', redirectUrl: query.redirectUrl }
  throw missingParam('redirectUrl or session')
}
