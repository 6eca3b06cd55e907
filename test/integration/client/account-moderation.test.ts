import { expect } from 'chai'
import type { JsonObject, JsonValue } from '../../../src/util/json.js'
import { forEachServerDatabase, startHomeserver } from '../../support/homeserver.js'
import { dig, path, type MatrixClient } from '../../support/matrix-client.js'

const V1 = '/_matrix/client/v1/admin'
const V3 = '/_matrix/client/v3'

const outcome = async (client: MatrixClient, method: string, target: string, body?: JsonObject) => {
  const answer = await client.request(method, target, body === undefined ? {} : { body })
  return [answer.status, answer.body['errcode']]
}

forEachServerDatabase('account moderation', (database) => {
  it('is for administrators, of other accounts of this server that are not administrators', async () => {
    await using hs = await startHomeserver({ database })
    const admin = await hs.register('admin', { isAdmin: true })
    const other = await hs.register('other', { isAdmin: true })
    const alice = await hs.register('alice')
    for (const [kind, key] of [
      ['lock', 'locked'],
      ['suspend', 'suspended'],
    ] as const) {
      const target = (userId: string) => `${V1}/${kind}/${encodeURIComponent(userId)}`
      expect(await admin.must('GET', target(alice.userId))).to.deep.equal({ [key]: false })
      const body = { [key]: true }
      const refusals: [MatrixClient, string, unknown[]][] = [
        [alice, alice.userId, [403, 'M_FORBIDDEN']],
        [alice, '@nobody:hs.test', [403, 'M_FORBIDDEN']],
        [admin, '@alice:other.test', [400, 'M_INVALID_PARAM']],
        [admin, '@nobody:hs.test', [404, 'M_NOT_FOUND']],
        [admin, other.userId, [403, 'M_FORBIDDEN']],
      ]
      for (const [client, userId, expected] of refusals) {
        expect(await outcome(client, 'PUT', target(userId), body), userId).to.deep.equal(expected)
        expect(await outcome(client, 'GET', target(userId)), userId).to.deep.equal(expected)
      }
      expect(await outcome(admin, 'PUT', target(admin.userId), body)).to.deep.equal([403, 'M_FORBIDDEN'])
      expect(await outcome(admin, 'PUT', target(alice.userId), {})).to.deep.equal([400, 'M_MISSING_PARAM'])
    }
    const capabilities = async (client: MatrixClient): Promise<JsonValue | undefined> =>
      dig(await client.must('GET', `${V3}/capabilities`), 'capabilities', 'm.account_moderation')
    expect(await capabilities(admin)).to.deep.equal({ suspend: true, lock: true })
    expect(await capabilities(alice)).to.equal(undefined)
  })

  it('locks out of everything but logging out, and lets in again with the same session', async () => {
    await using hs = await startHomeserver({ database })
    const admin = await hs.register('admin', { isAdmin: true })
    const alice = await hs.register('alice')
    const second = await hs.login(alice.userId)
    const lock = (locked: boolean) =>
      admin.must('PUT', path`/_matrix/client/v1/admin/lock/${alice.userId}`, { body: { locked } })
    expect(await lock(true)).to.deep.equal({ locked: true })
    const refused = await alice.request('GET', `${V3}/account/whoami`)
    expect([refused.status, refused.body['errcode'], refused.body['soft_logout']]).to.deep.equal([
      401,
      'M_USER_LOCKED',
      true,
    ])
    expect(await outcome(alice, 'GET', `${V3}/sync`)).to.deep.equal([401, 'M_USER_LOCKED'])
    for (const [method, target] of [
      ['GET', `${V3}/devices`],
      ['GET', '/_matrix/client/versions'],
      ['POST', `${V3}/search`],
      ['PUT', path`/_matrix/client/v3/profile/${alice.userId}/displayname`],
    ] as const) {
      const isPublic = target.endsWith('versions')
      const expected = isPublic ? [200, undefined] : [401, 'M_USER_LOCKED']
      expect(await outcome(alice, method, target, method === 'GET' ? undefined : {}), target).to.deep.equal(
        expected,
      )
    }
    expect((await second.request('POST', `${V3}/logout`)).status).to.equal(200)
    await lock(false)
    expect(await outcome(alice, 'GET', `${V3}/account/whoami`)).to.deep.equal([200, undefined])
    expect(await outcome(second, 'GET', `${V3}/account/whoami`)).to.deep.equal([401, 'M_UNKNOWN_TOKEN'])
  })

  it('suspends: who is suspended may read, leave and redact their own, and say nothing', async () => {
    await using hs = await startHomeserver({ database, config: { max_event_delay_duration: '10m' } })
    const admin = await hs.register('admin', { isAdmin: true })
    const [alice, bob] = [await hs.register('alice'), await hs.register('bob')]
    const roomId = await bob.createRoom({ preset: 'public_chat', invite: [alice.userId] })
    const open = await bob.createRoom({ preset: 'public_chat' })
    await alice.join(roomId)
    const own = await alice.sendText(roomId, 'mine')
    const theirs = await bob.sendText(roomId, 'yours')
    const suspend = (suspended: boolean) =>
      admin.must('PUT', path`/_matrix/client/v1/admin/suspend/${alice.userId}`, { body: { suspended } })
    await suspend(true)
    const refusals: [string, string, JsonObject][] = [
      ['PUT', path`/_matrix/client/v3/rooms/${roomId}/send/m.room.message/1`, { body: 'x' }],
      ['PUT', path`/_matrix/client/v3/rooms/${roomId}/state/m.room.topic`, { topic: 'x' }],
      ['PUT', path`/_matrix/client/v3/rooms/${roomId}/redact/${theirs}/2`, {}],
      ['POST', path`/_matrix/client/v3/join/${open}`, {}],
      ['POST', path`/_matrix/client/v3/knock/${open}`, {}],
      ['POST', path`/_matrix/client/v3/rooms/${roomId}/invite`, { user_id: '@carol:hs.test' }],
      ['POST', `${V3}/createRoom`, {}],
      ['POST', path`/_matrix/client/v3/rooms/${roomId}/upgrade`, { new_version: '12' }],
      ['PUT', path`/_matrix/client/v3/profile/${alice.userId}/displayname`, { displayname: 'x' }],
      [
        'PUT',
        path`/_matrix/client/v3/rooms/${roomId}/send/m.room.message/3?org.matrix.msc4140.delay=1000`,
        { body: 'x' },
      ],
      ['POST', `${V3}/account/3pid/delete`, { medium: 'email', address: 'alice@hs.test' }],
    ]
    for (const [method, target, body] of refusals) {
      expect(await outcome(alice, method, target, body), target).to.deep.equal([403, 'M_USER_SUSPENDED'])
    }
    await alice.redact(roomId, own)
    expect(await alice.messages(roomId)).to.have.property('chunk')
    expect(await alice.sync()).to.have.property('next_batch')
    const again = await hs.login(alice.userId)
    expect(await outcome(again, 'POST', path`/_matrix/client/v3/join/${open}`, {})).to.deep.equal([
      403,
      'M_USER_SUSPENDED',
    ])
    await alice.leave(roomId)
    await suspend(false)
    await alice.join(open)
  })

  it('tells from where accounts are used, to their owners and administrators', async () => {
    await using hs = await startHomeserver({ database })
    const admin = await hs.register('admin', { isAdmin: true })
    const [alice, bob] = [await hs.register('alice'), await hs.register('bob')]
    await alice.must('GET', `${V3}/account/whoami`, { headers: { 'User-Agent': 'a client' } })
    const target = path`/_matrix/client/v3/admin/whois/${alice.userId}`
    for (const client of [alice, admin]) {
      const answer = await client.must('GET', target)
      expect(answer['user_id']).to.equal(alice.userId)
      const [connection] = dig(
        answer,
        'devices',
        alice.deviceId,
        'sessions',
        0,
        'connections',
      ) as JsonObject[]
      expect(connection).to.have.all.keys('ip', 'last_seen', 'user_agent')
    }
    expect(await outcome(bob, 'GET', target)).to.deep.equal([403, 'M_FORBIDDEN'])
    const elsewhere = path`/_matrix/client/v3/admin/whois/${'@a:other.test'}`
    expect(await outcome(admin, 'GET', elsewhere)).to.deep.equal([400, 'M_INVALID_PARAM'])
  })
})
