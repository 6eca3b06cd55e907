import { expect } from 'chai'
import { FakeAppservice, type ServiceClient } from '../../support/fake-appservice.js'
import { startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { dig, path, type MatrixClient } from '../../support/matrix-client.js'

const REGISTER = '/_matrix/client/v3/register'
const WHOAMI = '/_matrix/client/v3/account/whoami'
const TYPE = 'm.login.application_service'

describe('application services as users', () => {
  let service: FakeAppservice
  let server: TestHomeserver
  let bot: ServiceClient
  let alice: MatrixClient

  before(async () => {
    service = await FakeAppservice.start()
    server = await startHomeserver({ config: { app_service_config_files: [service.file] } })
    bot = service.client(server.url)
    alice = await server.register('alice')
  })
  after(async () => {
    await server[Symbol.asyncDispose]()
    await service[Symbol.asyncDispose]()
  })

  it('act as their own user without registering it, and may register it once', async () => {
    expect(await bot.must('GET', WHOAMI)).to.deep.equal({ user_id: '@bridge_bot:hs.test', is_guest: false })
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    await bot.join(roomId)
    const body = { type: TYPE, username: 'bridge_bot', inhibit_login: true }
    expect(await bot.must('POST', REGISTER, { body })).to.deep.include({ user_id: '@bridge_bot:hs.test' })
    expect((await bot.request('POST', REGISTER, { body })).body['errcode']).to.equal('M_USER_IN_USE')
  })

  it('register users of their namespace, with a session or without', async () => {
    const one = await bot.must('POST', REGISTER, {
      body: { type: TYPE, username: '_bridge_One', inhibit_login: true },
    })
    expect(one).to.deep.include({ user_id: '@_bridge_One:hs.test' })
    expect(one).not.to.have.property('access_token')
    const two = await bot.must('POST', REGISTER, {
      body: { type: TYPE, username: '_bridge_two', device_id: 'DEVICE' },
    })
    expect(two).to.include({ user_id: '@_bridge_two:hs.test', device_id: 'DEVICE' })
    const client = server.client().withSession({
      userId: '@_bridge_two:hs.test',
      deviceId: 'DEVICE',
      accessToken: two['access_token'] as string,
    })
    expect(await client.must('GET', WHOAMI)).to.include({ user_id: '@_bridge_two:hs.test' })
  })

  it('keep their namespaces for themselves, and to them', async () => {
    const errcodeOf = async (client: MatrixClient, body: Record<string, string | boolean>) => {
      const response = await client.request('POST', REGISTER, { body })
      return [response.status, response.body['errcode']]
    }
    expect(await errcodeOf(bot, { type: TYPE, username: 'somebody' })).to.deep.equal([400, 'M_EXCLUSIVE'])
    const username = '_bridge_free'
    // People's names may not begin so anyway.
    expect(await errcodeOf(server.client(), { username, password: 'x' })).to.deep.equal([
      400,
      'M_INVALID_USERNAME',
    ])
    expect(await errcodeOf(server.client(), { username: 'bridge_bot', password: 'x' })).to.deep.equal([
      400,
      'M_EXCLUSIVE',
    ])
    // The specification describes one kind of 401 for this endpoint, and this is the other.
    for (const [token, errcode] of [
      [undefined, 'M_MISSING_TOKEN'],
      [alice.accessToken, 'M_UNKNOWN_TOKEN'],
    ] as const) {
      const response = await fetch(server.url + REGISTER, {
        method: 'POST',
        headers: token === undefined ? {} : { Authorization: `Bearer ${token}` },
        body: JSON.stringify({ type: TYPE, username }),
      })
      expect(response.status).to.equal(401)
      expect(await response.json()).to.include({ errcode })
    }
  })

  it('act as users of their namespace that they have registered, and as nobody else', async () => {
    await bot.registerGhost('_bridge_ghost')
    const ghost = service.client(server.url, '@_bridge_ghost:hs.test')
    expect(await ghost.must('GET', WHOAMI)).to.include({ user_id: '@_bridge_ghost:hs.test' })
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    await ghost.join(roomId)
    const eventId = await ghost.sendText(roomId, 'Hello')
    const event = await alice.must('GET', path`/_matrix/client/v3/rooms/${roomId}/event/${eventId}`)
    expect(event['sender']).to.equal('@_bridge_ghost:hs.test')
    for (const userId of [alice.userId, '@_bridge_unknown:hs.test']) {
      const response = await service.client(server.url, userId).request('GET', WHOAMI)
      expect([response.status, response.body['errcode']]).to.deep.equal([403, 'M_FORBIDDEN'])
    }
  })

  it('set profiles of their users', async () => {
    await bot.registerGhost('_bridge_named')
    const ghost = service.client(server.url, '@_bridge_named:hs.test')
    const target = path`/_matrix/client/v3/profile/${'@_bridge_named:hs.test'}/displayname`
    await ghost.must('PUT', target, { body: { displayname: 'A name' } })
    expect(await alice.must('GET', target)).to.deep.equal({ displayname: 'A name' })
  })

  it('log in as their users without a password', async () => {
    await bot.registerGhost('_bridge_login')
    const login = (user: string) =>
      bot.request('POST', '/_matrix/client/v3/login', {
        body: { type: TYPE, identifier: { type: 'm.id.user', user }, device_id: 'D' },
      })
    expect((await login('_bridge_login')).body).to.include({
      user_id: '@_bridge_login:hs.test',
      device_id: 'D',
    })
    expect((await login('alice')).body['errcode']).to.equal('M_EXCLUSIVE')
    expect((await login('_bridge_nobody')).body['errcode']).to.equal('M_FORBIDDEN')
    const { flows } = await alice.must('GET', '/_matrix/client/v3/login')
    expect(flows).to.deep.include({ type: TYPE })
  })

  it('make devices and act with them', async () => {
    await bot.registerGhost('_bridge_devices')
    const ghost = service.client(server.url, '@_bridge_devices:hs.test')
    const target = '/_matrix/client/v3/devices/GHOSTDEVICE'
    expect((await ghost.request('PUT', target, { body: { display_name: 'x' } })).status).to.equal(201)
    const who = await ghost.must('GET', WHOAMI, { query: { device_id: 'GHOSTDEVICE' } })
    expect(who['device_id']).to.equal('GHOSTDEVICE')
    const unknown = await ghost.request('GET', WHOAMI, { query: { device_id: 'OTHER' } })
    expect([unknown.status, unknown.body['errcode']]).to.deep.equal([400, 'M_UNKNOWN_DEVICE'])
    expect((await ghost.request('DELETE', target)).status).to.equal(200)
  })

  it('set the times of events', async () => {
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    await bot.join(roomId)
    const sent = await bot.must('PUT', path`/_matrix/client/v3/rooms/${roomId}/send/m.room.message/t1`, {
      query: { ts: 123 },
      body: { msgtype: 'm.text', body: 'old' },
    })
    const event = await alice.must(
      'GET',
      path`/_matrix/client/v3/rooms/${roomId}/event/${sent['event_id'] as string}`,
    )
    expect(event['origin_server_ts']).to.equal(123)
    for (const ts of ['', '-1', '1e3', '1.5', 'yesterday', '9'.repeat(16)]) {
      const { body } = await bot.request('PUT', path`/_matrix/client/v3/rooms/${roomId}/state/m.x/`, {
        query: { ts },
        body: {},
      })
      expect(body['errcode'], ts).to.equal('M_INVALID_PARAM')
    }
    // People have no say in it.
    const { event_id: own } = await alice.must(
      'PUT',
      path`/_matrix/client/v3/rooms/${roomId}/send/m.room.message/t2`,
      { query: { ts: 'yesterday' }, body: { msgtype: 'm.text', body: 'now' } },
    )
    expect(own).to.be.a('string')
  })

  it('get the same event for the same transaction', async () => {
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    await bot.join(roomId)
    const first = await bot.sendEvent(roomId, 'm.room.message', { msgtype: 'm.text', body: 'x' }, 'txn')
    expect(await bot.sendEvent(roomId, 'm.room.message', { msgtype: 'm.text', body: 'x' }, 'txn')).to.equal(
      first,
    )
    await bot.registerGhost('_bridge_txn')
    const ghost = service.client(server.url, '@_bridge_txn:hs.test')
    await ghost.join(roomId)
    const other = await ghost.sendEvent(roomId, 'm.room.message', { msgtype: 'm.text', body: 'x' }, 'txn')
    expect(other).not.to.equal(first)
  })

  it('have aliases for themselves', async () => {
    const put = async (client: MatrixClient, alias: string, roomId: string) => {
      const target = path`/_matrix/client/v3/directory/room/${alias}`
      const response = await client.request('PUT', target, { body: { room_id: roomId } })
      return response.body['errcode'] ?? response.status
    }
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    expect(await put(alice, '#_bridge_x:hs.test', roomId)).to.equal('M_EXCLUSIVE')
    expect(await put(bot, '#other:hs.test', roomId)).to.equal('M_EXCLUSIVE')
    expect(await put(bot, '#_bridge_x:hs.test', roomId)).to.equal(200)
    const target = path`/_matrix/client/v3/directory/room/${'#_bridge_x:hs.test'}`
    expect((await alice.request('DELETE', target)).body['errcode']).to.equal('M_EXCLUSIVE')
    await bot.must('DELETE', target)
    const create = await alice.request('POST', '/_matrix/client/v3/createRoom', {
      body: { room_alias_name: '_bridge_y' },
    })
    expect(create.body['errcode']).to.equal('M_EXCLUSIVE')
  })

  it('are asked for rooms that they may yet have to make', async () => {
    service.onRequest = async ({ path: asked }) => {
      if (asked !== '/_matrix/app/v1/rooms/#_bridge_made:hs.test') return undefined
      await bot.createRoom({ preset: 'public_chat', room_alias_name: '_bridge_made' })
      return { status: 200 }
    }
    const roomId = await alice.join('#_bridge_made:hs.test')
    const { room_id: resolved } = await alice.must(
      'GET',
      path`/_matrix/client/v3/directory/room/${'#_bridge_made:hs.test'}`,
    )
    expect(resolved).to.equal(roomId)
    const missing = await alice.request('POST', path`/_matrix/client/v3/join/${'#_bridge_none:hs.test'}`)
    expect(missing.body['errcode']).to.equal('M_NOT_FOUND')
    service.onRequest = () => undefined
  })

  it('are asked for users that they may yet have to make, and see who is in their rooms', async () => {
    service.onRequest = async ({ path: asked }) => {
      if (asked !== '/_matrix/app/v1/users/@_bridge_asked:hs.test') return undefined
      await bot.registerGhost('_bridge_asked')
      return { status: 200 }
    }
    const profile = await alice.must('GET', path`/_matrix/client/v3/profile/${'@_bridge_asked:hs.test'}`)
    expect(profile['displayname']).to.equal('_bridge_asked')
    const unknown = await alice.request('GET', path`/_matrix/client/v3/profile/${'@_bridge_none:hs.test'}`)
    expect(unknown.status).to.equal(404)
    service.onRequest = () => undefined
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    const target = path`/_matrix/client/v3/rooms/${roomId}/joined_members`
    expect((await bot.request('GET', target)).status).to.equal(403)
    await service.client(server.url, '@_bridge_asked:hs.test').join(roomId)
    const { joined } = await bot.must('GET', target)
    expect(Object.keys(joined as object)).to.have.members([alice.userId, '@_bridge_asked:hs.test'])
  })

  it('ping themselves through the server', async () => {
    const ping = (client: MatrixClient, id = 'bridge') =>
      client.request('POST', path`/_matrix/client/v1/appservice/${id}/ping`, {
        body: { transaction_id: 'meow' },
      })
    const pong = await ping(bot)
    expect(pong.body['duration_ms']).to.be.a('number')
    const asked = service.requests.at(-1)!
    expect(asked.body).to.deep.equal({ transaction_id: 'meow' })
    expect(asked.authorization).to.equal('Bearer token_of_the_server')
    expect((await ping(bot, 'another')).body['errcode']).to.equal('M_FORBIDDEN')
    expect((await ping(alice)).body['errcode']).to.equal('M_FORBIDDEN')
    service.onRequest = () => ({ status: 403, body: { errcode: 'M_FORBIDDEN' } })
    const refused = await ping(bot)
    expect(refused.status).to.equal(502)
    expect(refused.body).to.include({
      errcode: 'M_BAD_STATUS',
      status: 403,
      body: '{"errcode":"M_FORBIDDEN"}',
    })
    service.onRequest = () => undefined
  })
})

describe('networks of application services', () => {
  it('are described, searched, and have room directories', async () => {
    await using service = await FakeAppservice.start({ protocols: ['irc'] })
    const instance = { network_id: 'libera', desc: 'Libera', fields: {} }
    const location = { alias: '#_bridge_a:hs.test', protocol: 'irc', fields: { channel: '#a' } }
    service.onRequest = ({ path: asked, query }) => {
      if (asked === '/_matrix/app/v1/thirdparty/protocol/irc') {
        const body = {
          user_fields: [],
          location_fields: [],
          icon: '',
          field_types: {},
          instances: [instance],
        }
        return { status: 200, body }
      }
      if (asked === '/_matrix/app/v1/thirdparty/location/irc' && query.get('channel') === '#a') {
        return { status: 200, body: [location, { bad: true }] }
      }
      if (asked === '/_matrix/app/v1/thirdparty/location') return { status: 200, body: [location] }
      return undefined
    }
    await using server = await startHomeserver({ config: { app_service_config_files: [service.file] } })
    const alice = await server.register('alice')
    const get = (target: string, query = {}) =>
      alice.must('GET', `/_matrix/client/v3/thirdparty/${target}`, { query })
    const protocols = await get('protocols')
    expect(dig(protocols, 'irc', 'instances', 0)).to.deep.equal({ ...instance, instance_id: 'bridge|libera' })
    expect(await get('protocol/irc')).to.deep.equal(protocols['irc'])
    const unknown = await alice.request('GET', '/_matrix/client/v3/thirdparty/protocol/xmpp')
    expect(unknown.body['errcode']).to.equal('M_NOT_FOUND')
    const search = await alice.request('GET', '/_matrix/client/v3/thirdparty/location/irc', {
      query: { channel: '#a' },
    })
    expect(JSON.parse(search.text)).to.deep.equal([location])

    const bot = service.client(server.url)
    const roomId = await bot.createRoom({ preset: 'public_chat', name: 'A channel' })
    const entry = path`/_matrix/client/v3/directory/list/appservice/${'libera'}/${roomId}`
    expect((await alice.request('PUT', entry, { body: { visibility: 'public' } })).status).to.equal(403)
    await bot.must('PUT', entry, { body: { visibility: 'public' } })
    const list = (body: Record<string, string | boolean>) =>
      alice.must('POST', '/_matrix/client/v3/publicRooms', { body })
    expect(dig(await list({}), 'chunk')).to.deep.equal([])
    const listed = await list({ third_party_instance_id: 'bridge|libera' })
    expect(dig(listed, 'chunk', 0)).to.deep.include({ room_id: roomId, name: 'A channel' })
    expect(dig(await list({ include_all_networks: true }), 'chunk', 0, 'room_id')).to.equal(roomId)
    const both = { include_all_networks: true, third_party_instance_id: 'bridge|libera' }
    const refused = await alice.request('POST', '/_matrix/client/v3/publicRooms', { body: both })
    expect([refused.status, refused.body['errcode']]).to.deep.equal([400, 'M_INVALID_PARAM'])
    await bot.must('PUT', entry, { body: { visibility: 'private' } })
    expect(dig(await list({ third_party_instance_id: 'bridge|libera' }), 'chunk')).to.deep.equal([])
  })
})
