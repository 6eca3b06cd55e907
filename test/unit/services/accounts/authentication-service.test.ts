import { expect } from 'chai'
import type { AuthenticationServiceMetadata } from '../../../../src/net/clients/authentication-service-client.js'
import { HttpFailure } from '../../../../src/net/http-failure.js'
import { MatrixError } from '../../../../src/protocol/errors.js'
import { AuthenticationService } from '../../../../src/services/accounts/authentication-service.js'
import { ManualClock } from '../../../support/manual-clock.js'
import { rejection } from '../../../support/rejection.js'

const METADATA: AuthenticationServiceMetadata = {
  issuer: 'https://auth.test/',
  accountUrl: 'https://auth.test/account/?lang=de',
  json: { issuer: 'https://auth.test/', account_management_uri: 'https://auth.test/account/?lang=de' },
}

describe('AuthenticationService', () => {
  let clock: ManualClock
  let service: AuthenticationService
  let fetches: number
  let fetch: () => Promise<AuthenticationServiceMetadata>

  beforeEach(() => {
    clock = new ManualClock()
    fetches = 0
    fetch = () => Promise.resolve(METADATA)
    service = new AuthenticationService({
      clock,
      client: {
        fetchMetadata() {
          fetches += 1
          return fetch()
        },
      },
      logger: { warn: () => undefined },
      secret: 'hush',
    })
  })

  it('knows its secret, and nothing that is like it', () => {
    expect(service.isSecret('hush')).to.equal(true)
    for (const other of ['', 'hus', 'hush ', 'Hush', 'hushhush', '\0']) {
      expect(service.isSecret(other), other).to.equal(false)
    }
  })

  it('says what it is, fetched once for all who ask, and again after a while', async () => {
    const all = await Promise.all([service.getMetadata(), service.getMetadata(), service.getIssuer()])
    expect(all).to.deep.equal([METADATA.json, METADATA.json, METADATA.issuer])
    clock.advance(5 * 60_000 - 1)
    await service.describeForWellKnown()
    expect(fetches).to.equal(1)
    clock.advance(1)
    await service.getMetadata()
    expect(fetches).to.equal(2)
  })

  it('says nothing of before when it cannot be asked', async () => {
    await service.getMetadata()
    clock.advance(5 * 60_000)
    fetch = () => Promise.reject(new HttpFailure('unreachable', 'nobody listens'))
    const error = (await rejection(service.getMetadata())) as MatrixError
    expect(error).to.be.instanceOf(MatrixError)
    expect([error.errcode, error.status]).to.deep.equal(['M_UNKNOWN', 503])
    fetch = () => Promise.resolve(METADATA)
    expect(await service.getIssuer()).to.equal(METADATA.issuer)
  })

  it('leads to where keys may be replaced, whatever the address of accounts is', async () => {
    expect(await service.getKeyResetUrl()).to.equal(
      'https://auth.test/account/?lang=de&action=org.matrix.cross_signing_reset',
    )
  })
})
