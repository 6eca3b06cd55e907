import { z } from 'zod'
import { route } from '../../http/route.js'
import { passUiAuthGate } from '../../http/ui-auth-gate.js'
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
  async handler({ requester, request, body }, { crossSigning, uiAuth }) {
    const upload = await crossSigning.check(requester.userId, {
      master: body.master_key,
      self_signing: body.self_signing_key,
      user_signing: body.user_signing_key,
    })
    if (upload.needsProof) {
      const challenge = await passUiAuthGate(uiAuth, { requester, request, body: body as JsonObject })
      if (challenge !== undefined) return challenge
    }
    await crossSigning.store(requester.userId, upload)
    return {}
  },
})

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
