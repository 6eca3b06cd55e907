import { z } from 'zod'
import { json, type HttpResponse } from '../../http/responses.js'
import { route } from '../../http/route.js'
import { passUiAuthGate } from '../../http/ui-auth-gate.js'
import type { AuthenticationService } from '../../services/accounts/authentication-service.js'
import type { Requester } from '../../services/accounts/requester.js'
import type { JsonObject } from '../../util/json.js'
import { jsonObject, optionalJsonObject } from './json-object.js'

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3keysdevice_signingupload */
export const uploadCrossSigningKeys = route({
  operationId: 'uploadCrossSigningKeys',
  method: 'POST',
  path: '/_matrix/client/v3/keys/device_signing/upload',
  aliases: ['/_matrix/client/unstable/keys/device_signing/upload'],
  auth: 'user',
  body: z.looseObject({
    master_key: optionalJsonObject,
    self_signing_key: optionalJsonObject,
    user_signing_key: optionalJsonObject,
  }),
  async handler({ requester, request, body }, { authenticationService, crossSigning, uiAuth }) {
    const upload = await crossSigning.check(requester.userId, {
      master: body.master_key,
      self_signing: body.self_signing_key,
      user_signing: body.user_signing_key,
    })
    if (upload.needsProof) {
      const challenge =
        authenticationService === undefined
          ? await passUiAuthGate(uiAuth, { requester, request, body: body as JsonObject })
          : await askForApproval(authenticationService, requester)
      if (challenge !== undefined) return challenge
    }
    await crossSigning.store(requester.userId, upload)
    return {}
  },
})

/** The stage, and what it was called when it was proposed. */
const APPROVAL_STAGES = ['m.oauth', 'org.matrix.cross_signing_reset']

/**
 * Sends people to the authentication service, which lets their keys be replaced for a while when they approve. Nothing is
 * remembered of who was sent, so that the session is the same for all. Application services need not ask.
 * https://spec.matrix.org/latest/client-server-api/#oauth-authentication
 */
async function askForApproval(
  service: AuthenticationService,
  { appserviceId }: Pick<Requester, 'appserviceId'>,
): Promise<HttpResponse | undefined> {
  if (appserviceId !== undefined) return undefined
  const url = await service.getKeyResetUrl()
  return json(401, {
    session: 'dummy',
    flows: APPROVAL_STAGES.map((stage) => ({ stages: [stage] })),
    params: Object.fromEntries(APPROVAL_STAGES.map((stage) => [stage, { url }])),
    completed: [],
    msg: `To reset your end-to-end encryption cross-signing identity, approve it at ${url} first, then try again.`,
  })
}

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3keyssignaturesupload */
export const uploadCrossSigningSignatures = route({
  operationId: 'uploadCrossSigningSignatures',
  method: 'POST',
  path: '/_matrix/client/v3/keys/signatures/upload',
  aliases: ['/_matrix/client/unstable/keys/signatures/upload'],
  auth: 'user',
  body: jsonObject,
  async handler({ requester, body }, { keySignatures }) {
    return { failures: await keySignatures.upload(requester.userId, body) }
  },
})
