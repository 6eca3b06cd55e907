import { expect } from 'chai'
import { errorsOf, loadKeys } from '../../../support/load-config.js'

describe('sessions', () => {
  it('lets passwords be used for confirming only', async () => {
    const { config } = await loadKeys({ password_config: { enabled: 'only_for_reauth', pepper: 'p' } })
    expect(config.sessions.passwords).to.include({ mayLogIn: false, mayReauthenticate: true, pepper: 'p' })
  })

  it('lets sessions live for ever unless told otherwise', async () => {
    expect((await loadKeys({ session_lifetime: '1d' })).config.sessions.lifetimes).to.deep.equal({
      sessionMs: 86_400_000,
      refreshableAccessTokenMs: 300_000,
      refreshTokenMs: undefined,
      nonrefreshableAccessTokenMs: undefined,
    })
  })

  it('bounds the rounds of bcrypt', async () => {
    expect((await errorsOf({ bcrypt_rounds: 40 }))[0]).to.equal(
      'bcrypt_rounds: expected a whole number from 4 to 31, got 40',
    )
  })
})
