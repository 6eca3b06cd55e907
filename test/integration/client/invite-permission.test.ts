import { expect } from 'chai'
import type { JsonObject } from '../../../src/util/json.js'
import { startHomeserver } from '../../support/homeserver.js'
import { dig, path, type MatrixClient } from '../../support/matrix-client.js'

const STABLE = 'm.invite_permission_config'
const FILTERING = 'org.matrix.msc4155.invite_permission_config'

const say = (client: MatrixClient, type: string, body: JsonObject) =>
  client.must('PUT', path`/_matrix/client/v3/user/${client.userId}/account_data/${type}`, { body })

const invitesOf = async (client: MatrixClient): Promise<string[]> =>
  Object.keys((dig(await client.sync(), 'rooms', 'invite') ?? {}) as JsonObject)

async function invite(client: MatrixClient, roomId: string, userId: string): Promise<unknown[]> {
  const target = path`/_matrix/client/v3/rooms/${roomId}/invite`
  const { status, body } = await client.request('POST', target, { body: { user_id: userId } })
  return [status, body['errcode']]
}

describe('invite permission', () => {
  it('refuses invitations, however they are sent, and hides those from before', async () => {
    await using hs = await startHomeserver()
    const [alice, bob] = [await hs.register('alice'), await hs.register('bob')]
    const before = await bob.createRoom({ invite: [alice.userId] })
    const roomId = await bob.createRoom({})
    expect(await invitesOf(alice)).to.deep.equal([before])
    await say(alice, STABLE, { default_action: 'block' })
    expect(await invitesOf(alice)).to.deep.equal([])
    expect(await invite(bob, roomId, alice.userId)).to.deep.equal([403, 'M_INVITE_BLOCKED'])
    const membership = { membership: 'invite' }
    const state = path`/_matrix/client/v3/rooms/${roomId}/state/m.room.member/${alice.userId}`
    const bySetting = await bob.request('PUT', state, { body: membership })
    expect([bySetting.status, bySetting.body['errcode']]).to.deep.equal([403, 'M_INVITE_BLOCKED'])
    const byCreating = await bob.request('POST', '/_matrix/client/v3/createRoom', {
      body: { invite: [alice.userId] },
    })
    expect([byCreating.status, byCreating.body['errcode']]).to.deep.equal([403, 'M_INVITE_BLOCKED'])
    const members = await bob.must('GET', path`/_matrix/client/v3/rooms/${before}/members`)
    expect(JSON.stringify(members)).to.include(alice.userId)
    await say(alice, STABLE, {})
    expect(await invite(bob, roomId, alice.userId)).to.deep.equal([200, undefined])
    expect(await invitesOf(alice)).to.have.members([before, roomId])
  })

  it('needs nobody who has the name already: whoever takes it finds the invitations', async () => {
    await using hs = await startHomeserver()
    const bob = await hs.register('bob')
    const byCreating = await bob.createRoom({ invite: ['@later:hs.test'] })
    const roomId = await bob.createRoom({})
    expect(await invite(bob, roomId, '@later:hs.test')).to.deep.equal([200, undefined])
    const later = await hs.register('later')
    expect(await invitesOf(later)).to.have.members([byCreating, roomId])
    await later.join(roomId)
  })

  it('distinguishes between inviters', async () => {
    await using hs = await startHomeserver()
    const [alice, bob, eve] = [await hs.register('alice'), await hs.register('bob'), await hs.register('eve')]
    await say(alice, FILTERING, {
      allowed_users: [bob.userId],
      ignored_users: ['@ev?:*'],
      blocked_servers: ['*'],
    })
    const mallory = await hs.register('mallory')
    const [ofBob, ofEve, ofMallory] = [
      await bob.createRoom({}),
      await eve.createRoom({}),
      await mallory.createRoom({}),
    ]
    expect(await invite(bob, ofBob, alice.userId)).to.deep.equal([200, undefined])
    expect(await invite(eve, ofEve, alice.userId)).to.deep.equal([200, undefined])
    expect(await invite(mallory, ofMallory, alice.userId)).to.deep.equal([403, 'M_INVITE_BLOCKED'])
    expect(await invitesOf(alice)).to.deep.equal([ofBob])
    const sliding = await alice.must('POST', '/_matrix/client/unstable/org.matrix.simplified_msc3575/sync', {
      body: { lists: { all: { ranges: [[0, 10]], timeline_limit: 1, required_state: [] } } },
    })
    expect(Object.keys(sliding['rooms'] as JsonObject)).to.deep.equal([ofBob])
    expect(dig(sliding, 'lists', 'all', 'count')).to.equal(1)
  })

  it('goes along with ignoring', async () => {
    await using hs = await startHomeserver()
    const [alice, bob] = [await hs.register('alice'), await hs.register('bob')]
    await say(alice, 'm.ignored_user_list', { ignored_users: { [bob.userId]: {} } })
    expect(await invite(bob, await bob.createRoom({}), alice.userId)).to.deep.equal([200, undefined])
    expect(await invitesOf(alice)).to.deep.equal([])
  })
})
