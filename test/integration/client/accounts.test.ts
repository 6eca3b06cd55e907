import { createHmac } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { expect } from 'chai'
import { forEachServerDatabase, PASSWORD, startHomeserver } from '../../support/homeserver.js'
import { useScratch } from '../../support/scratch.js'
import type { JsonObject } from '../../../src/util/json.js'
import { dig, eventsAt, path, syncTimelineHas, syncTimelineHasEventId } from '../../support/matrix-client.js'

forEachServerDatabase('accounts over HTTP', (database) => {
  it('registers, logs in, says who one is, and logs out', async () => {
    await using hs = await startHomeserver({ database })
    const challenge = await hs
      .client()
      .request('POST', '/_matrix/client/v3/register', { body: { username: 'alice' } })
    expect(challenge.status).to.equal(401)
    expect(challenge.body).to.have.keys('completed', 'flows', 'params', 'session')
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

  it('makes administrators for whoever knows the shared secret', async () => {
    await using hs = await startHomeserver({ database })
    const target = '/_synapse/admin/v1/register'
    const register = async (secret: string): Promise<number> => {
      const { nonce } = await hs.client().must('GET', target)
      const signed = `${nonce as string}\0root\0${PASSWORD}\0admin`
      const mac = createHmac('sha1', secret).update(signed).digest('hex')
      const body = { nonce: nonce ?? '', username: 'root', password: PASSWORD, admin: true, mac }
      return (await hs.client().request('POST', target, { body })).status
    }
    expect(await register('a guess')).to.equal(403)
    expect(await register('a shared secret')).to.equal(200)
    expect((await hs.client().login('root', PASSWORD)).userId).to.equal('@root:hs.test')
  })

  it('shows a new name to those who share a room', async () => {
    await using hs = await startHomeserver({ database })
    const [alice, bob] = [await hs.register('alice'), await hs.register('bob')]
    const room = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(room)
    const since = await bob.syncToken()
    const target = path`/_matrix/client/v3/profile/${alice.userId}/displayname`
    await alice.must('PUT', target, { body: { displayname: 'Alice in Wonderland' } })
    await bob.mustSyncUntil(
      syncTimelineHas(
        room,
        (event) =>
          event['state_key'] === alice.userId &&
          dig(event, 'content', 'displayname') === 'Alice in Wonderland',
      ),
      { since },
    )
  })

  it('deletes a device for its owner only, whose session then ends', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const phone = await hs.login(alice.userId)
    const target = path`/_matrix/client/v3/devices/${phone.deviceId}`
    const described = await alice.must('GET', target)
    expect(described).to.include({ device_id: phone.deviceId, display_name: null })
    const challenge = await alice.request('DELETE', target, { body: {} })
    expect(challenge.status).to.equal(401)
    const auth = {
      type: 'm.login.password',
      session: challenge.body['session'] ?? '',
      identifier: { type: 'm.id.user', user: 'alice' },
      password: PASSWORD,
    }
    const bob = await hs.register('bob')
    const foreign = { ...auth, identifier: { type: 'm.id.user', user: bob.userId } }
    expect((await alice.request('DELETE', target, { body: { auth: foreign } })).status).to.equal(403)
    await phone.must('GET', '/_matrix/client/v3/account/whoami')
    await alice.must('DELETE', target, { body: { auth } })
    expect((await phone.request('GET', '/_matrix/client/v3/account/whoami')).status).to.equal(401)
    await alice.must('GET', '/_matrix/client/v3/account/whoami')
  })

  it('lets a deactivated user neither in nor stay in rooms', async () => {
    await using hs = await startHomeserver({ database })
    const [alice, bob] = [await hs.register('alice'), await hs.register('bob')]
    const room = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(room)
    const since = await alice.syncToken()
    const auth = {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: 'bob' },
      password: PASSWORD,
    }
    await bob.must('POST', '/_matrix/client/v3/account/deactivate', { body: { auth } })
    await alice.mustSyncUntil(
      syncTimelineHas(
        room,
        (event) => event['state_key'] === bob.userId && dig(event, 'content', 'membership') === 'leave',
      ),
      { since },
    )
    const { type, identifier, password } = auth
    const login = await hs
      .client()
      .request('POST', '/_matrix/client/v3/login', { body: { type, identifier, password } })
    expect(login.status).to.equal(403)
  })

  it('puts new users into the rooms that the operator names', async () => {
    await using hs = await startHomeserver({ database, config: { auto_join_rooms: ['#lobby:hs.test'] } })
    const alice = await hs.client().register('alice', PASSWORD)
    const bob = await hs.client().register('bob', PASSWORD)
    const { joined_rooms: alices } = await alice.must('GET', '/_matrix/client/v3/joined_rooms')
    const { joined_rooms: bobs } = await bob.must('GET', '/_matrix/client/v3/joined_rooms')
    expect(alices).to.have.length(1)
    expect(bobs).to.deep.equal(alices)
  })

  it('remembers users, rooms and sessions over a restart', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const room = await alice.createRoom()
    const event = await alice.sendText(room, 'before')
    await hs.restart()
    const same = hs.client().withSession(alice)
    const page = await same.messages(room, { dir: 'b', limit: 1 })
    expect(eventsAt(page, 'chunk').map((one) => one['event_id'])).to.deep.equal([event])
    await same.mustSyncUntil(syncTimelineHasEventId(room, await same.sendText(room, 'after')))
  })
})

describe('the policy of a server', () => {
  const scratch = useScratch()

  it('is agreed to by everybody who registers, and can be read by all', async () => {
    mkdirSync(scratch.path('en'))
    scratch.write('en/1.0.html', '<p>Be kind ({{ version }})</p>')
    const resources = [{ names: ['client', 'consent'] }]
    const config = {
      listeners: [{ port: 0, type: 'http', bind_addresses: ['127.0.0.1'], resources }],
      user_consent: { version: '1.0', template_dir: scratch.directory, require_at_registration: true },
    }
    await using server = await startHomeserver({ config })
    const register = (auth?: JsonObject) =>
      server.client().request('POST', '/_matrix/client/v3/register', {
        body: { username: 'alice', password: PASSWORD, ...(auth && { auth }) },
      })
    const { body: challenge } = await register()
    const policy = dig(challenge, 'params', 'm.login.terms', 'policies', 'privacy_policy')
    const page = new URL(dig(policy, 'en', 'url') as string)
    const shown = await server.client().request('GET', page.pathname + page.search)
    expect([shown.status, shown.text]).to.deep.equal([200, '<p>Be kind (1.0)</p>'])
    const session = challenge['session']!
    expect((await register({ type: 'm.login.dummy', session })).status).to.equal(401)
    const alice = await register({ type: 'm.login.terms', session })
    expect(alice.body).to.include({ user_id: '@alice:hs.test' })
    const admin = await server.register('admin', { isAdmin: true })
    const account = await admin.must('GET', path`/_synapse/admin/v2/users/${'@alice:hs.test'}`)
    expect(account['consent_version']).to.equal('1.0')
    expect(account['consent_ts']).to.be.a('number')
  })
})
