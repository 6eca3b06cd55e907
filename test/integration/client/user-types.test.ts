import { expect } from 'chai'
import { FakeAppservice } from '../../support/fake-appservice.js'
import { PASSWORD, startHomeserver } from '../../support/homeserver.js'
import { path } from '../../support/matrix-client.js'

const V3 = '/_matrix/client/v3'

describe('the type of new accounts', () => {
  it('is the usual one where nobody says another, for people', async () => {
    await using service = await FakeAppservice.start()
    const config = {
      user_types: { default_user_type: 'person', extra_user_types: ['person'] },
      app_service_config_files: [service.file],
      allow_guest_access: true,
    }
    await using hs = await startHomeserver({ config })
    const admin = await hs.register('admin', { isAdmin: true })
    const account = (userId: string): string => path`/_synapse/admin/v2/users/${userId}`
    const typeOf = async (userId: string): Promise<unknown> =>
      (await admin.must('GET', account(userId)))['user_type']
    const alice = await hs.client().register('alice', PASSWORD)
    expect(await typeOf(alice.userId)).to.equal('person')
    await admin.must('PUT', account('@robot:hs.test'), { body: { user_type: 'bot' } })
    expect(await typeOf('@robot:hs.test')).to.equal('bot')
    await admin.must('PUT', account('@made:hs.test'), { body: {} })
    expect(await typeOf('@made:hs.test')).to.equal('person')
    const guest = await hs.client().must('POST', `${V3}/register`, { query: { kind: 'guest' }, body: {} })
    expect(await typeOf(guest['user_id'] as string)).to.equal(null)
    const body = { type: 'm.login.application_service', username: '_bridge_a', inhibit_login: true }
    await service.client(hs.url).must('POST', `${V3}/register`, { body })
    expect(await typeOf('@_bridge_a:hs.test')).to.equal(null)
  })
})
