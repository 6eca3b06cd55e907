import { z } from 'zod'
import { readFormFields } from '../../http/form.js'
import { json } from '../../http/responses.js'
import { route } from '../../http/route.js'
import { invalidParam, missingParam } from '../../protocol/errors.js'
import { answerPage, cookieOf } from './sign-on-response.js'

/** Synapse's name. */
const COOKIE = 'username_mapping_session'
const DETAILS_PATH = '/_synapse/client/pick_username/account_details'
const CONSENT_PATH = '/_synapse/client/new_user_consent'

/** Asks somebody who is new how they want to be called. */
export const accountDetailsPage = route({
  operationId: 'accountDetailsPage',
  method: 'GET',
  path: DETAILS_PATH,
  auth: 'none',
  accounts: 'own',
  handler({ request }, { newcomers, signOnPages }) {
    return answerPage(signOnPages, () => newcomers.renderDetails(cookieOf(request, COOKIE)))
  },
})

/** What they have filled in. */
export const submitAccountDetails = route({
  operationId: 'submitAccountDetails',
  method: 'POST',
  path: DETAILS_PATH,
  auth: 'none',
  accounts: 'own',
  handler({ request }, { newcomers, signOnPages }) {
    return answerPage(signOnPages, async () => {
      const fields = await readFormFields(request)
      const localpart = fields.get('username')
      if (localpart === null) throw missingParam('username')
      return newcomers.choose(cookieOf(request, COOKIE), {
        localpart,
        usesDisplayName: fields.get('use_display_name') === 'true',
        usesAvatar: fields.get('use_avatar') === 'true',
        emails: fields.getAll('use_email'),
      })
    })
  },
})

/** Says to the page while somebody types whether a name is free. */
export const checkNewName = route({
  operationId: 'checkNewName',
  method: 'GET',
  path: '/_synapse/client/pick_username/check',
  auth: 'none',
  accounts: 'own',
  query: z.looseObject({ username: z.string() }),
  async handler({ query, request }, { newcomers }) {
    try {
      const isFree = await newcomers.isFree(cookieOf(request, COOKIE), query.username)
      return json(200, { available: isFree }, { 'Cache-Control': 'no-store' })
    } catch (error) {
      // By name, since this layer imports no classes of services.
      if (error instanceof Error && error.name === 'SignOnFailure') throw invalidParam(error.message)
      throw error
    }
  },
})

/** Asks somebody who is new to agree to the server's policy. */
export const newUserConsentPage = route({
  operationId: 'newUserConsentPage',
  method: 'GET',
  path: CONSENT_PATH,
  auth: 'none',
  accounts: 'own',
  handler({ request }, { newcomers, signOnPages }) {
    return answerPage(signOnPages, () => newcomers.renderConsent(cookieOf(request, COOKIE)))
  },
})

/** They agree. */
export const submitNewUserConsent = route({
  operationId: 'submitNewUserConsent',
  method: 'POST',
  path: CONSENT_PATH,
  auth: 'none',
  accounts: 'own',
  handler({ request }, { newcomers, signOnPages }) {
    return answerPage(signOnPages, async () => {
      const version = (await readFormFields(request)).get('accepted_version')
      if (version === null) throw missingParam('accepted_version')
      return newcomers.agree(cookieOf(request, COOKIE), version)
    })
  },
})

/** Makes the account when all has been said. */
export const registerNewcomer = route({
  operationId: 'registerNewcomer',
  method: 'GET',
  path: '/_synapse/client/sso_register',
  auth: 'none',
  accounts: 'own',
  rateLimit: 'signOn',
  handler({ request }, { newcomers, signOnPages }) {
    return answerPage(signOnPages, () => newcomers.register(cookieOf(request, COOKIE)))
  },
})
