import { expect } from 'chai'
import { forEachServerDatabase, PASSWORD, startHomeserver } from '../../support/homeserver.js'

forEachServerDatabase('accounts over HTTP', (database) => {
  it('registers, logs in, says who one is, and logs out', async () => {
    await using hs = await startHomeserver({ database })
    const challenge = await hs
      .client()
      .request('POST', '/_matrix/client/v3/register', { body: { username: 'alice' } })
    expect(challenge.status).to.equal(401)
    expect(challenge.body).to.have.keys('flows', 'params', 'session')
    const alice = await hs.client().register('alice', PASSWORD)
    expect(alice.userId).to.equal('@alice:hs.test')
    const phone = await hs.client().login('alice', PASSWORD)
    expect(phone.deviceId).not.to.equal(alice.deviceId)
    const whoami = await phone.must('GET', '/_matrix/client/v3/account/whoami')
    expect(whoami).to.deep.equal({ user_id: '@alice:hs.test', device_id: phone.deviceId, is_guest: false })
    await phone.must('POST', '/_matrix/client/v3/logout', { body: {} })
    const after = await phone.request('GET', '/_matrix/client/v3/account/whoami')
    expect(after.status).to.equal(401)
    expect(after.body).to.include({ errcode: 'M_UNKNOWN_TOKEN', soft_logout: false })
    await alice.must('GET', '/_matrix/client/v3/account/whoami')
  })
})
