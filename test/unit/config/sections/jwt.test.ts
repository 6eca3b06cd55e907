import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { expect } from 'chai'
import { errorsOf, loadKeys, warningsOf } from '../../../support/load-config.js'

const SHARED = { enabled: true, secret: 'shared', algorithm: 'HS256' }

function pem({ publicKey }: { readonly publicKey: KeyObject }): string {
  return publicKey.export({ type: 'spki', format: 'pem' }).toString()
}

const rsa = (modulusLength: number): string => pem(generateKeyPairSync('rsa', { modulusLength }))
const ec = (namedCurve: string): string => pem(generateKeyPairSync('ec', { namedCurve }))

describe('tokens of another service as a way to log in', () => {
  it('are none unless they are switched on', async () => {
    for (const jwt_config of [undefined, null, {}, { ...SHARED, enabled: false }])
      expect((await loadKeys({ jwt_config })).config.jwt.login).to.equal(undefined)
  })

  it('are as Synapse has them', async () => {
    const { login } = (await loadKeys({ jwt_config: SHARED })).config.jwt
    expect(login).to.deep.equal({
      secret: 'shared',
      algorithm: 'HS256',
      subjectClaim: 'sub',
      displayNameClaim: undefined,
      issuer: undefined,
      audiences: undefined,
    })
    const all = { subject_claim: 'name', display_name_claim: 'full', issuer: 'iss', audiences: ['a', 'b'] }
    expect((await loadKeys({ jwt_config: { ...SHARED, ...all } })).config.jwt.login).to.include({
      subjectClaim: 'name',
      displayNameClaim: 'full',
      issuer: 'iss',
    })
    expect(await warningsOf({ listeners: [{ port: 8008 }], jwt_config: SHARED })).to.deep.equal([])
  })

  it('need a secret and an algorithm', async () => {
    expect((await errorsOf({ jwt_config: { enabled: true } })).join('\n'))
      .to.contain('jwt_config.secret: is missing')
      .and.to.contain('jwt_config.algorithm: is missing')
    expect((await errorsOf({ jwt_config: { ...SHARED, secret: '' } }))[0]).to.contain('jwt_config.secret')
    for (const algorithm of ['none', 'HS1', 'dir'])
      expect((await errorsOf({ jwt_config: { ...SHARED, algorithm } }))[0]).to.contain('jwt_config.algorithm')
    expect((await errorsOf({ jwt_config: { ...SHARED, audiences: [] } }))[0]).to.contain('audiences')
    expect((await errorsOf({ jwt_config: { ...SHARED, audience: 'x' } }))[0]).to.contain('audiences')
  })

  it('take a key for what it is', async () => {
    const wrong: [string, string][] = [
      ['HS256', rsa(2048)],
      ['RS256', 'shared'],
      ['RS256', '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----'],
      ['RS256', ec('prime256v1')],
      ['RS256', rsa(1024)],
      ['ES256', ec('secp384r1')],
      ['ES384', rsa(2048)],
      ['EdDSA', ec('prime256v1')],
    ]
    for (const [algorithm, secret] of wrong) {
      const errors = await errorsOf({ jwt_config: { enabled: true, algorithm, secret } })
      expect(errors[0], algorithm).to.match(/^jwt_config\.secret: /)
      expect(errors.join(), 'secrets are not shown').not.to.contain(secret.slice(30, 60) || 'shared')
    }
    const right: [string, string][] = [
      ['RS512', rsa(2048)],
      ['PS256', rsa(2048)],
      ['ES512', ec('secp521r1')],
      ['EdDSA', pem(generateKeyPairSync('ed25519'))],
    ]
    for (const [algorithm, secret] of right) {
      const { config } = await loadKeys({ jwt_config: { enabled: true, algorithm, secret } })
      expect(config.jwt.login).to.include({ algorithm, secret })
    }
  })
})
