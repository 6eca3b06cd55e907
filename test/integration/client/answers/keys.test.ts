import { CrossSigningIdentity } from '../../../support/encryption.js'
import { expectAnswer, expectAnswers } from '../../../support/expected-answers.js'
import { startHomeserver } from '../../../support/homeserver.js'

const UPLOAD = 'POST /_matrix/client/v3/keys/device_signing/upload'

describe('answers about cross-signing', () => {
  it('refuse keys that the master key has not signed, and those that are devices already', async () => {
    await using hs = await startHomeserver()
    const [alice, bob] = [await hs.register('alice'), await hs.register('bob')]
    const [hers, his] = [new CrossSigningIdentity(alice.userId), new CrossSigningIdentity(bob.userId)]
    await hs.client().login('alice', 'correct horse', { deviceId: hers.master.publicKey })
    await expectAnswers([
      [alice, UPLOAD, [400, 'M_MISSING_PARAM'], { self_signing_key: hers.selfSigningKey }],
      [alice, UPLOAD, [403, 'M_FORBIDDEN'], hers.upload],
      [bob, UPLOAD, [400, 'M_INVALID_SIGNATURE'], { ...his.upload, self_signing_key: withoutSignature(his) }],
      [bob, UPLOAD, 200, his.upload],
    ])
    await expectAnswer(hs.client(), UPLOAD, [401, 'M_MISSING_TOKEN'], { body: his.upload })
  })
})

function withoutSignature({ userId, selfSigning, userSigning }: CrossSigningIdentity) {
  const { publicKey } = selfSigning
  const key = { user_id: userId, usage: ['self_signing'], keys: { [`ed25519:${publicKey}`]: publicKey } }
  return userSigning.sign(key, userId)
}
