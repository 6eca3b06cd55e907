import { z } from 'zod'
import { html } from '../../http/responses.js'
import { route } from '../../http/route.js'

/** The policy that people who register agree to: where `m.login.terms` leads. */
export const policyPage = route({
  operationId: 'policyPage',
  method: 'GET',
  path: '/_matrix/consent',
  auth: 'none',
  query: z.looseObject({ v: z.string().optional() }),
  async handler({ query }, { policyPages }) {
    return html(await policyPages.render(query.v))
  },
})
