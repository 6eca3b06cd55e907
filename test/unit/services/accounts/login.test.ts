import { expect } from 'chai'
import {
  parseUserIdentifier,
  type UserIdentifier,
} from '../../../../src/services/accounts/user-identifier.js'
import type { UserId } from '../../../../src/protocol/ids.js'
import { createAccountServices, type AccountFixture } from '../../../support/account-services.js'
import { forEachDatabase } from '../../../support/databases.js'
import { rejection } from '../../../support/rejection.js'

const DEVICE = { deviceId: undefined, displayName: 'A phone', refreshable: false }

forEachDatabase('login', (open) => {
  let fixture: AccountFixture

  beforeEach(async () => {
    fixture = await createAccountServices(await open())
  })

  const byName = (user: string): UserIdentifier => ({ type: 'user', user })
  const logIn = (identifier: UserIdentifier, password = 'secret') =>
    fixture.services.login.withPassword(identifier, password, DEVICE)

  it('takes a localpart or a user ID, in any case', async () => {
    const { userId } = await fixture.createUser('alice')
    for (const user of ['alice', 'ALICE', '@alice:hs.test', '@Alice:hs.test']) {
      const session = await logIn(byName(user))
      expect(session.userId).to.equal(userId)
      expect(session.refreshToken).to.equal(undefined)
    }
    expect((await fixture.services.devices.list(userId)).map((device) => device.displayName)).to.include(
      'A phone',
    )
  })

  it('prefers the user whose name is written as given: imported names may have capitals', async () => {
    await fixture.createUser('alice')
    const imported = '@Alice:hs.test' as UserId
    await fixture.db.write('import', (tx) =>
      fixture.stores.users.insert(tx, { userId: imported, passwordHash: 'hash of secret', createdTs: 0 }),
    )
    expect((await logIn(byName('Alice'))).userId).to.equal(imported)
    expect((await logIn(byName('alice'))).userId).to.equal('@alice:hs.test')
  })

  it('answers alike and works as hard for wrong passwords and unknown users', async () => {
    await fixture.createUser('alice')
    const withoutPassword = '@nopass:hs.test' as UserId
    await fixture.db.write('insert', (tx) =>
      fixture.stores.users.insert(tx, { userId: withoutPassword, passwordHash: undefined, createdTs: 0 }),
    )
    await rejection(logIn(byName('somebody')))
    const messages = new Set<string>()
    for (const user of ['alice', 'nobody', 'nopass', '@alice:other.test', '@broken', '', 'x'.repeat(1000)]) {
      const before = fixture.hashing.verified
      const error = (await rejection(logIn(byName(user), 'wrong'))) as Error
      expect(error, user).to.have.property('errcode', 'M_FORBIDDEN')
      messages.add(error.message)
      expect(fixture.hashing.verified - before, user).to.equal(1)
    }
    expect(messages.size).to.equal(1)
  })

  it('takes a third-party identifier', async () => {
    const { userId } = await fixture.createUser('alice')
    const email = { medium: 'email', address: 'alice@example.org', validatedTs: 1, addedTs: 1 }
    await fixture.db.write('add_threepid', (tx) => fixture.stores.threepids.insert(tx, userId, email))
    const session = await logIn({ type: 'threepid', medium: 'email', address: 'Alice@Example.org' })
    expect(session.userId).to.equal(userId)
    const unknown = await rejection(logIn({ type: 'threepid', medium: 'email', address: 'bob@example.org' }))
    expect(unknown).to.have.property('errcode', 'M_FORBIDDEN')
  })

  it('refuses locked and deactivated users', async () => {
    const alice = await fixture.createUser('alice')
    await fixture.db.write('lock', (tx) => fixture.stores.users.setFlag(tx, alice.userId, 'isLocked', true))
    const locked = await rejection(logIn(byName('alice')))
    expect(locked).to.include({ errcode: 'M_USER_LOCKED', status: 401 })
    expect(locked).to.have.deep.property('fields', { soft_logout: true })
    expect(await rejection(logIn(byName('alice'), 'wrong'))).to.have.property('errcode', 'M_FORBIDDEN')

    const bob = await fixture.createUser('bob')
    await fixture.services.accountDeactivation.deactivate(bob.userId, { erase: false })
    // The password is gone: nobody can prove who they are, and whoever asks may know why.
    for (const password of ['secret', 'wrong']) {
      const ended = await rejection(logIn(byName('bob'), password))
      expect(ended).to.include({ errcode: 'M_USER_DEACTIVATED', status: 403 })
    }
    const deactivated = await rejection(fixture.services.login.beginSession(bob.userId, DEVICE))
    expect(deactivated).to.include({ errcode: 'M_USER_DEACTIVATED', status: 403 })
  })

  it('refuses a password that has changed while it was checked', async () => {
    const { userId } = await fixture.createUser('alice')
    await fixture.services.passwordChanges.change(userId, 'new', { logoutDevices: true })
    const error = await rejection(
      fixture.services.login.beginSession(userId, DEVICE, { passwordHash: 'hash of secret' }),
    )
    expect(error).to.have.property('errcode', 'M_FORBIDDEN')
  })

  it('refuses device IDs that are empty or too long', async () => {
    const { userId } = await fixture.createUser('alice')
    for (const deviceId of ['', 'x'.repeat(256)]) {
      const error = await rejection(fixture.services.login.beginSession(userId, { ...DEVICE, deviceId }))
      expect(error).to.have.property('errcode', 'M_INVALID_PARAM')
    }
  })

  it('takes a login token once, for two minutes', async () => {
    const { userId } = await fixture.createUser('alice')
    const { token, expiresInMs } = await fixture.services.login.createLoginToken(userId)
    expect(expiresInMs).to.equal(120_000)
    const attempts = await Promise.allSettled(
      [1, 2, 3].map(() => fixture.services.login.withLoginToken(token, DEVICE)),
    )
    expect(attempts.filter((attempt) => attempt.status === 'fulfilled')).to.have.length(1)
    const late = await fixture.services.login.createLoginToken(userId)
    fixture.clock.advance(120_000)
    const error = await rejection(fixture.services.login.withLoginToken(late.token, DEVICE))
    expect(error).to.have.property('errcode', 'M_FORBIDDEN')
  })

  it('ends login tokens when the password changes', async () => {
    const { userId } = await fixture.createUser('alice')
    const { token } = await fixture.services.login.createLoginToken(userId)
    await fixture.services.passwordChanges.change(userId, 'new', { logoutDevices: false })
    expect(await rejection(fixture.services.login.withLoginToken(token, DEVICE))).to.have.property(
      'errcode',
      'M_FORBIDDEN',
    )
  })

  it('offers what the configuration allows', async () => {
    expect(fixture.services.login.listFlows()).to.deep.equal([
      { type: 'm.login.password' },
      { type: 'm.login.token', get_login_token: true },
    ])
    fixture = await createAccountServices(await open(), {
      login: { passwordLogin: false, loginTokens: false },
    })
    await fixture.createUser('alice')
    expect(fixture.services.login.listFlows()).to.deep.equal([])
    expect(await rejection(logIn(byName('alice')))).to.have.property('errcode', 'M_FORBIDDEN')
  })

  it('changes a password, and ends all sessions but the one that asks', async () => {
    const { userId, requester, token } = await fixture.createUser('alice')
    const other = await logIn(byName('alice'))
    await fixture.services.passwordChanges.change(userId, 'new', { logoutDevices: false, except: requester })
    const client = { ip: '', userAgent: undefined }
    await fixture.services.accessTokens.authenticate(other.accessToken, client)
    await fixture.services.passwordChanges.change(userId, 'newer', { logoutDevices: true, except: requester })
    await fixture.services.accessTokens.authenticate(token, client)
    const ended = await rejection(fixture.services.accessTokens.authenticate(other.accessToken, client))
    expect(ended).to.have.property('errcode', 'M_UNKNOWN_TOKEN')
    expect((await fixture.services.devices.list(userId)).map((device) => device.deviceId)).to.deep.equal([
      requester.deviceId,
    ])
    expect(await rejection(logIn(byName('alice'), 'new'))).to.have.property('errcode', 'M_FORBIDDEN')
    await logIn(byName('alice'), 'newer')
  })
})

describe('identifiers of a login', () => {
  it('come in three shapes', () => {
    expect(parseUserIdentifier({ identifier: { type: 'm.id.user', user: 'alice' } })).to.deep.equal({
      type: 'user',
      user: 'alice',
    })
    expect(parseUserIdentifier({ user: 'alice' })).to.deep.equal({ type: 'user', user: 'alice' })
    const threepid = { type: 'threepid', medium: 'email', address: 'a@b.c' }
    expect(
      parseUserIdentifier({ identifier: { type: 'm.id.thirdparty', medium: 'email', address: 'a@b.c' } }),
    ).to.deep.equal(threepid)
    expect(parseUserIdentifier({ medium: 'email', address: 'a@b.c' })).to.deep.equal(threepid)
  })

  it('are refused when incomplete or unknown', () => {
    const refused: [Parameters<typeof parseUserIdentifier>[0], string][] = [
      [{}, 'M_MISSING_PARAM'],
      [{ medium: 'email' }, 'M_MISSING_PARAM'],
      [{ identifier: { type: 'm.id.user' } }, 'M_MISSING_PARAM'],
      [{ identifier: { type: 'm.id.user', user: 1 } }, 'M_MISSING_PARAM'],
      [{ identifier: { type: 'other' } }, 'M_UNKNOWN'],
      [{ identifier: {} }, 'M_UNKNOWN'],
    ]
    for (const [body, errcode] of refused) {
      expect(() => parseUserIdentifier(body))
        .to.throw()
        .with.property('errcode', errcode)
    }
  })
})
