import { expect } from 'chai'
import { CLIENT, createAccountServices, type AccountFixture } from '../../../support/account-services.js'
import { forEachDatabase } from '../../../support/databases.js'
import { rejection } from '../../../support/rejection.js'

forEachDatabase('deactivation', (open) => {
  let fixture: AccountFixture

  beforeEach(async () => {
    fixture = await createAccountServices(await open())
  })

  it('ends an account for good', async () => {
    const { userId, token, requester } = await fixture.createUser('alice', { isAdmin: true })
    const { services, stores, db } = fixture
    await services.accountData.put(requester, userId, { roomId: undefined, type: 'm.direct', content: {} })
    await services.filters.create(requester, userId, {})
    const { token: loginToken } = await services.login.createLoginToken(userId)
    await services.accountDeactivation.deactivate(userId, { erase: false })
    await services.accountDeactivation.settle()

    expect(await rejection(services.accessTokens.authenticate(token, CLIENT))).to.have.property(
      'errcode',
      'M_UNKNOWN_TOKEN',
    )
    const device = { deviceId: undefined, displayName: undefined, refreshable: false }
    expect(await rejection(services.login.withLoginToken(loginToken, device))).to.have.property(
      'errcode',
      'M_FORBIDDEN',
    )
    const user = await stores.users.get(db.reader, userId)
    expect(user).to.include({ isDeactivated: true, isErased: false, isAdmin: false })
    expect(user?.passwordHash).to.equal(undefined)
    expect(await services.devices.list(userId)).to.deep.equal([])
    expect(await stores.accountData.getAll(db.reader, userId)).to.deep.equal([])
    expect(await stores.filters.count(db.reader, userId)).to.equal(0)
    expect(await services.profiles.get(undefined, userId)).to.deep.equal({ displayname: 'alice' })
    expect(fixture.left).to.deep.equal([userId])
    expect(await stores.users.listPendingDeactivations(db.reader)).to.deep.equal([])
  })

  it('keeps the name from being taken again', async () => {
    const { userId } = await fixture.createUser('alice')
    await fixture.services.accountDeactivation.deactivate(userId, { erase: true })
    expect(await rejection(fixture.createUser('alice'))).to.have.property('errcode', 'M_USER_IN_USE')
  })

  it('erases the profile where the user wishes, also afterwards', async () => {
    const { userId } = await fixture.createUser('alice')
    const { accountDeactivation, profiles } = fixture.services
    await accountDeactivation.deactivate(userId, { erase: false })
    await accountDeactivation.deactivate(userId, { erase: true })
    await accountDeactivation.settle()
    expect(await rejection(profiles.get(undefined, userId))).to.have.property('errcode', 'M_NOT_FOUND')
    expect(await fixture.stores.users.listErased(fixture.db.reader)).to.deep.equal([userId])
    expect(fixture.left).to.deep.equal([userId])
  })

  it('takes up what was interrupted', async () => {
    const { userId } = await fixture.createUser('alice')
    await fixture.db.write('interrupt', (tx) => fixture.stores.users.insertPendingDeactivation(tx, userId))
    await fixture.services.accountDeactivation.resume()
    expect(fixture.left).to.deep.equal([userId])
    await fixture.services.accountDeactivation.resume()
    expect(fixture.left).to.deep.equal([userId])
  })

  it('lets no token through that a login at the same moment has made', async () => {
    const { userId, token, requester } = await fixture.createUser('alice')
    await fixture.db.write('deactivate_alone', (tx) => fixture.stores.users.deactivate(tx, userId))
    await fixture.db.write('forget', (tx) => {
      fixture.services.accessTokens.forgetUser(tx, requester.userId)
      return Promise.resolve()
    })
    expect(await rejection(fixture.services.accessTokens.authenticate(token, CLIENT))).to.have.property(
      'errcode',
      'M_UNKNOWN_TOKEN',
    )
  })
})
