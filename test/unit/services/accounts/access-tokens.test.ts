import { expect } from 'chai'
import { MatrixError } from '../../../../src/protocol/errors.js'
import { hashToken } from '../../../../src/services/accounts/token-format.js'
import { CLIENT, createAccountServices, type AccountFixture } from '../../../support/account-services.js'
import { forEachDatabase } from '../../../support/databases.js'
import { rejection } from '../../../support/rejection.js'

const REFRESHABLE = { deviceId: 'DEVICE', displayName: undefined, refreshable: true }

forEachDatabase('access and refresh tokens', (open) => {
  let fixture: AccountFixture

  beforeEach(async () => {
    fixture = await createAccountServices(await open())
  })

  const authenticate = (token: string) => fixture.services.accessTokens.authenticate(token, CLIENT)
  const unknown = async (token: string, softLogout = false): Promise<void> => {
    const error = await rejection(authenticate(token))
    expect(error).to.be.instanceOf(MatrixError)
    expect((error as MatrixError).errcode).to.equal('M_UNKNOWN_TOKEN')
    expect((error as MatrixError).fields).to.deep.equal({ soft_logout: softLogout })
  }

  it('knows who holds a token, also from the cache', async () => {
    const { userId, deviceId, token } = await fixture.createUser('alice', { isAdmin: true })
    for (let i = 0; i < 2; i++) {
      const requester = await authenticate(token)
      expect(requester).to.include({ userId, deviceId, isAdmin: true, isGuest: false, isLocked: false })
    }
  })

  it('refuses tokens that it never made', async () => {
    await unknown('syt_YWxpY2U_aaaaaaaaaaaaaaaaaaaa_000000')
    await unknown('')
  })

  it('keeps no token that could be used', async () => {
    const { token } = await fixture.createUser('alice')
    const rows = await fixture.db.reader.all<{ token_hash: string }>('SELECT token_hash FROM access_tokens')
    expect(rows).to.deep.equal([{ token_hash: hashToken(token) }])
  })

  it('refuses a token after its logout, cached or not, and leaves the other sessions alone', async () => {
    const { requester, token, userId } = await fixture.createUser('alice')
    const other = await fixture.services.login.beginSession(userId, { ...REFRESHABLE, deviceId: undefined })
    await authenticate(other.accessToken)
    await fixture.services.logout.logout(requester)
    await unknown(token)
    expect((await authenticate(other.accessToken)).deviceId).to.equal(other.deviceId)
    await fixture.services.logout.logoutAll(await authenticate(other.accessToken))
    await unknown(other.accessToken)
    expect(await rejection(fixture.services.tokenIssuer.refresh(other.refreshToken ?? ''))).to.have.property(
      'errcode',
      'M_UNKNOWN_TOKEN',
    )
    expect(await fixture.services.devices.list(userId)).to.deep.equal([])
  })

  it('does not cache what was read before a logout', async () => {
    const { requester, token, userId } = await fixture.createUser('alice')
    // Makes the next use read the token again, as after an eviction.
    await fixture.db.write('forget', (tx) => {
      fixture.services.accessTokens.forgetUser(tx, userId)
      return Promise.resolve()
    })
    const find = fixture.stores.accessTokens.find.bind(fixture.stores.accessTokens)
    fixture.stores.accessTokens.find = async (q, hash) => {
      const record = await find(q, hash)
      await fixture.services.logout.logout(requester)
      return record
    }
    await authenticate(token)
    fixture.stores.accessTokens.find = find
    await unknown(token)
  })

  it('logs in on a known device by ending its old tokens and keeping its name', async () => {
    const { userId, deviceId, token } = await fixture.createUser('alice')
    await fixture.services.devices.rename(userId, deviceId, 'my phone')
    const again = await fixture.services.login.beginSession(userId, {
      deviceId,
      displayName: 'another name',
      refreshable: false,
    })
    expect(again.deviceId).to.equal(deviceId)
    await unknown(token)
    expect((await fixture.services.devices.require(userId, deviceId)).displayName).to.equal('my phone')
  })

  it('says that an expired token has only expired', async () => {
    const { userId } = await fixture.createUser('alice')
    const session = await fixture.services.login.beginSession(userId, REFRESHABLE)
    expect(session.expiresInMs).to.equal(300_000)
    await authenticate(session.accessToken)
    fixture.clock.advance(299_999)
    await authenticate(session.accessToken)
    fixture.clock.advance(1)
    await unknown(session.accessToken, true)
    await unknown(session.accessToken, true)
  })

  it('ends the old tokens when the new access token is first used', async () => {
    const { userId } = await fixture.createUser('alice')
    const first = await fixture.services.login.beginSession(userId, REFRESHABLE)
    await authenticate(first.accessToken)
    const second = await fixture.services.tokenIssuer.refresh(first.refreshToken ?? '')
    await authenticate(first.accessToken)
    await authenticate(second.accessToken)
    await unknown(first.accessToken)
    const replay = await rejection(fixture.services.tokenIssuer.refresh(first.refreshToken ?? ''))
    expect(replay).to.have.property('errcode', 'M_UNKNOWN_TOKEN')
    await authenticate(second.accessToken)
  })

  it('ends the old tokens when the new refresh token is first used', async () => {
    const { userId } = await fixture.createUser('alice')
    const first = await fixture.services.login.beginSession(userId, REFRESHABLE)
    const second = await fixture.services.tokenIssuer.refresh(first.refreshToken ?? '')
    const third = await fixture.services.tokenIssuer.refresh(second.refreshToken ?? '')
    await unknown(first.accessToken)
    const replay = await rejection(fixture.services.tokenIssuer.refresh(first.refreshToken ?? ''))
    expect(replay).to.have.property('errcode', 'M_UNKNOWN_TOKEN')
    expect((await authenticate(third.accessToken)).deviceId).to.equal('DEVICE')
  })

  it('lets a client refresh again that never got the answer', async () => {
    const { userId } = await fixture.createUser('alice')
    const first = await fixture.services.login.beginSession(userId, REFRESHABLE)
    const lost = await fixture.services.tokenIssuer.refresh(first.refreshToken ?? '')
    const second = await fixture.services.tokenIssuer.refresh(first.refreshToken ?? '')
    await unknown(lost.accessToken)
    expect(await rejection(fixture.services.tokenIssuer.refresh(lost.refreshToken ?? ''))).to.have.property(
      'errcode',
      'M_UNKNOWN_TOKEN',
    )
    await authenticate(second.accessToken)
  })

  it('gives one successor to many refreshes at once', async () => {
    const { userId } = await fixture.createUser('alice')
    const first = await fixture.services.login.beginSession(userId, REFRESHABLE)
    const answers = await Promise.all(
      [1, 2, 3, 4].map(() => fixture.services.tokenIssuer.refresh(first.refreshToken ?? '')),
    )
    const results = await Promise.allSettled(answers.map((answer) => authenticate(answer.accessToken)))
    expect(results.filter((result) => result.status === 'fulfilled')).to.have.length(1)
  })

  it('ends a login when its time is over, however often it is refreshed', async () => {
    fixture = await createAccountServices(await open(), {
      lifetimes: { sessionMs: 600_000, refreshTokenMs: 400_000 },
    })
    const { userId } = await fixture.createUser('alice')
    const first = await fixture.services.login.beginSession(userId, REFRESHABLE)
    fixture.clock.advance(350_000)
    const second = await fixture.services.tokenIssuer.refresh(first.refreshToken ?? '')
    expect(second.expiresInMs).to.equal(250_000)
    fixture.clock.advance(250_000)
    await unknown(second.accessToken, true)
    const error = await rejection(fixture.services.tokenIssuer.refresh(second.refreshToken ?? ''))
    expect(error).to.have.property('errcode', 'M_UNKNOWN_TOKEN')
    expect(error).to.have.deep.property('fields', { soft_logout: true })
  })

  it('lets a refresh token expire that is not used', async () => {
    fixture = await createAccountServices(await open(), { lifetimes: { refreshTokenMs: 400_000 } })
    const { userId } = await fixture.createUser('alice')
    const first = await fixture.services.login.beginSession(userId, REFRESHABLE)
    fixture.clock.advance(400_000)
    const error = await rejection(fixture.services.tokenIssuer.refresh(first.refreshToken ?? ''))
    expect(error).to.have.property('errcode', 'M_UNKNOWN_TOKEN')
  })

  it('refreshes nothing for locked and deactivated users', async () => {
    const { userId } = await fixture.createUser('alice')
    const { refreshToken = '' } = await fixture.services.login.beginSession(userId, REFRESHABLE)
    await fixture.db.write('lock', (tx) => fixture.stores.users.setFlag(tx, userId, 'isLocked', true))
    expect(await rejection(fixture.services.tokenIssuer.refresh(refreshToken))).to.include({
      errcode: 'M_USER_LOCKED',
      status: 401,
    })
    await fixture.db.write('deactivate_alone', (tx) => fixture.stores.users.deactivate(tx, userId))
    expect(await rejection(fixture.services.tokenIssuer.refresh(refreshToken))).to.have.property(
      'errcode',
      'M_UNKNOWN_TOKEN',
    )
  })

  it('forgets the flags of a user when they change', async () => {
    const { userId, token } = await fixture.createUser('alice')
    await fixture.db.write('lock', async (tx) => {
      await fixture.stores.users.setFlag(tx, userId, 'isLocked', true)
      fixture.services.accessTokens.forgetUser(tx, userId)
    })
    expect((await authenticate(token)).isLocked).to.equal(true)
  })

  it('makes tokens with which an administrator acts as a user', async () => {
    const admin = await fixture.createUser('admin', { isAdmin: true })
    const { userId } = await fixture.createUser('alice')
    const validUntilTs = fixture.clock.now() + 1000
    const token = await fixture.db.write('puppet', (tx) =>
      fixture.services.tokenIssuer.issuePuppetToken(tx, { userId, puppetedBy: admin.userId, validUntilTs }),
    )
    const requester = await authenticate(token)
    expect(requester).to.include({ userId, isAdmin: false })
    expect(requester.deviceId).to.equal(undefined)
    await fixture.services.logout.logout(requester)
    await unknown(token)
  })

  it('notes from where devices are used, later and together', async () => {
    const { userId, deviceId, token } = await fixture.createUser('alice')
    await authenticate(token)
    await fixture.services.accessTokens.authenticate(token, { ip: '10.0.0.1', userAgent: undefined })
    expect((await fixture.services.devices.require(userId, deviceId)).lastSeenTs).to.equal(undefined)
    const seenTs = fixture.clock.now()
    await fixture.services.sightings.flush()
    const device = await fixture.services.devices.require(userId, deviceId)
    expect(device).to.include({ lastSeenTs: seenTs, lastSeenIp: '10.0.0.1' })
    const sightings = await fixture.stores.clientIps.listForUser(fixture.db.reader, userId, 10)
    expect(sightings.map(({ ip }) => ip)).to.have.members(['127.0.0.1', '10.0.0.1'])
    expect(sightings.every((sighting) => sighting.deviceId === deviceId)).to.equal(true)
  })
})
