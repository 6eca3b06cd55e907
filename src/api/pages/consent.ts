import { z } from 'zod'
import { readForm } from '../../http/form.js'
import { html } from '../../http/responses.js'
import { route } from '../../http/route.js'

const PATH = '/_matrix/consent'

/**
 * The policy: where `m.login.terms` leads, and where people agree who are sent there by a notice or an error. `u`: a
 * localpart, which `h` signs.
 */
export const policyPage = route({
  operationId: 'policyPage',
  method: 'GET',
  path: PATH,
  auth: 'none',
  query: z.looseObject({
    v: z.string().optional(),
    u: z.string().optional(),
    h: z.string().optional(),
  }),
  async handler({ query: { v, u, h } }, { policyPages }) {
    return html(await policyPages.render({ version: v, user: u, signature: h }))
  },
})

/** The form on that page: the user agrees. */
export const agreeToPolicy = route({
  operationId: 'agreeToPolicy',
  method: 'POST',
  path: PATH,
  auth: 'none',
  async handler({ request }, { policyPages }) {
    const fields = await readForm(request)
    return html(
      await policyPages.agree({
        version: fields.get('v'),
        user: fields.get('u'),
        signature: fields.get('h'),
      }),
    )
  },
})
