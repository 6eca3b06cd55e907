import { createHmac } from 'node:crypto'
import { expect } from 'chai'
import type { SharedSecretRequest } from '../../../../src/services/journeys/shared-secret-registration.js'
import {
  createAccountServices,
  SHARED_SECRET,
  type AccountFixture,
} from '../../../support/account-services.js'
import { forEachDatabase } from '../../../support/databases.js'
import { rejection } from '../../../support/rejection.js'

forEachDatabase('registration with the shared secret', (open) => {
  let fixture: AccountFixture

  beforeEach(async () => {
    fixture = await createAccountServices(await open(), { registration: { enabled: false } })
  })

  const signed = (fields: Partial<SharedSecretRequest>, secret = SHARED_SECRET): SharedSecretRequest => {
    const request = {
      nonce: fields.nonce ?? fixture.services.sharedSecretRegistration.createNonce(),
      username: 'alice',
      password: 'secret',
      displayName: undefined,
      isAdmin: false,
      userType: undefined,
      ...fields,
    }
    const parts = [request.nonce, request.username, request.password, request.isAdmin ? 'admin' : 'notadmin']
    if (request.userType !== undefined) parts.push(request.userType)
    const mac = createHmac('sha1', secret).update(parts.join('\0')).digest('hex')
    return { ...request, mac: fields.mac ?? mac }
  }
  const register = (request: SharedSecretRequest) =>
    fixture.services.sharedSecretRegistration.register(request)

  it('makes accounts where nobody else may register', async () => {
    const { userId, session } = await register(signed({ isAdmin: true, displayName: 'Alice!' }))
    expect(session).not.to.equal(undefined)
    expect(await fixture.stores.users.get(fixture.db.reader, userId)).to.include({ isAdmin: true })
    expect(await fixture.services.profiles.get(undefined, userId)).to.deep.equal({ displayname: 'Alice!' })
  })

  it('signs the type of user too', async () => {
    const { userId } = await register(signed({ userType: 'bot' }))
    expect(await fixture.stores.users.get(fixture.db.reader, userId)).to.include({ userType: 'bot' })
    const request = { ...signed({ username: 'bob' }), userType: 'bot' }
    expect(await rejection(register(request))).to.have.property('errcode', 'M_FORBIDDEN')
    const unknown = await rejection(register(signed({ username: 'bob', userType: 'king' })))
    expect(unknown).to.have.property('errcode', 'M_INVALID_PARAM')
  })

  it('takes a nonce once', async () => {
    const request = signed({})
    await register(request)
    expect(await rejection(register(request))).to.include({ errcode: 'M_UNKNOWN', status: 400 })
    const second = signed({ username: 'bob', nonce: request.nonce })
    expect(await rejection(register(second))).to.include({ errcode: 'M_UNKNOWN', status: 400 })
  })

  it('takes a nonce once, also when the signature was wrong', async () => {
    const nonce = fixture.services.sharedSecretRegistration.createNonce()
    expect(await rejection(register(signed({ nonce }, 'a guess')))).to.have.property('errcode', 'M_FORBIDDEN')
    expect(await rejection(register(signed({ nonce })))).to.have.property('errcode', 'M_UNKNOWN')
  })

  it('takes a nonce for a minute', async () => {
    const request = signed({})
    fixture.clock.advance(60_000)
    expect(await rejection(register(request))).to.have.property('errcode', 'M_UNKNOWN')
  })

  it('takes no nonce of its own making, and no signature of another shape', async () => {
    expect(await rejection(register(signed({ nonce: 'mine' })))).to.have.property('errcode', 'M_UNKNOWN')
    for (const mac of ['', 'zz', '0'.repeat(40), '0'.repeat(80), 'é'.repeat(40)]) {
      expect(await rejection(register(signed({ mac }))), mac).to.have.property('errcode', 'M_FORBIDDEN')
    }
  })

  it('makes no administrator of whoever signed for a user', async () => {
    const request = { ...signed({}), isAdmin: true }
    expect(await rejection(register(request))).to.have.property('errcode', 'M_FORBIDDEN')
  })

  it('refuses fields whose boundaries could be moved', async () => {
    const request = signed({ username: 'alice', password: 'secret\0admin' })
    expect(await rejection(register(request))).to.include({ errcode: 'M_UNKNOWN', status: 400 })
  })

  it('forgets the oldest nonces when there are too many', async () => {
    const oldest = signed({})
    for (let i = 0; i < 10_000; i++) fixture.services.sharedSecretRegistration.createNonce()
    expect(await rejection(register(oldest))).to.have.property('errcode', 'M_UNKNOWN')
  })

  it('is off without a secret', async () => {
    for (const sharedSecret of [undefined, '']) {
      fixture = await createAccountServices(await open(), { sharedSecret })
      expect(() => fixture.services.sharedSecretRegistration.createNonce())
        .to.throw('Shared secret registration is not enabled')
        .with.property('status', 400)
      const error = await rejection(register(signed({ nonce: 'x' }, '')))
      expect(error).to.have.property('errcode', 'M_UNKNOWN')
    }
  })
})
