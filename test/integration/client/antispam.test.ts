import { expect } from 'chai'
import type { RequestListener } from 'node:http'
import { isJsonObject, type JsonObject } from '../../../src/util/json.js'
import { startFederation } from '../../support/federation.js'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { MISBEHAVIOUR, startHttpServer, type HttpServer } from '../../support/http-servers.js'
import { path, syncInvitedTo, syncJoinedTo, type MatrixClient } from '../../support/matrix-client.js'

interface Asked {
  readonly callback: string
  readonly authorization: string | undefined
  readonly body: JsonObject
}

/** An answer: a status and a body; undefined: nothing against it. */
type Judge = (asked: Asked) => readonly [status: number, body: string] | undefined

/** A service that says what is spam, with what it was asked. */
async function startJudge(judge: Judge, asked: Asked[] = []): Promise<HttpServer> {
  return startHttpServer((request, response) => {
    let text = ''
    request.on('data', (part: Buffer) => (text += part.toString()))
    request.on('end', () => {
      const body: unknown = JSON.parse(text)
      const question = {
        callback: request.url?.slice('/api/'.length) ?? '',
        authorization: request.headers.authorization,
        body: isJsonObject(body) ? body : {},
      }
      asked.push(question)
      const [status, answer] = judge(question) ?? [200, '{}']
      response.writeHead(status).end(answer)
    })
  })
}

function antispam(port: number, more: JsonObject = {}): Record<string, unknown> {
  const config = { base_url: `http://127.0.0.1:${port}/api/`, authorization: 'a token', ...more }
  return { modules: [{ module: 'synapse_http_antispam.HTTPAntispam', config }] }
}

const say = (client: MatrixClient, roomId: string, body: string) =>
  client.request('PUT', path`/_matrix/client/v3/rooms/${roomId}/send/m.room.message/${body}`, {
    body: { msgtype: 'm.text', body },
  })

const invite = (client: MatrixClient, roomId: string, userId: string) =>
  client.request('POST', path`/_matrix/client/v3/rooms/${roomId}/invite`, { body: { user_id: userId } })

const join = (client: MatrixClient, roomId: string) =>
  client.request('POST', path`/_matrix/client/v3/join/${roomId}`, { body: {} })

const spam = (body: JsonObject): readonly [number, string] => [400, JSON.stringify(body)]

forEachServerDatabase('a service that says what is spam', (database) => {
  it('is asked about what people do, and answers them', async () => {
    const asked: Asked[] = []
    const refused = new Set<string>()
    const judge: Judge = ({ callback }) =>
      refused.has(callback)
        ? spam({ errcode: 'ORG.EXAMPLE.NO', error: `no ${callback}`, more: 1 })
        : undefined
    await using service = await startJudge(judge, asked)
    const room_list_publication_rules = [{ action: 'allow' }]
    const config = { ...antispam(service.port), room_list_publication_rules }
    await using hs = await startHomeserver({ database, config })
    const [alice, bob] = [await hs.register('alice'), await hs.register('bob')]
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    const alias = path`/_matrix/client/v3/directory/room/${'#a:hs.test'}`
    const list = path`/_matrix/client/v3/directory/list/room/${roomId}`
    const actions: Record<string, () => ReturnType<MatrixClient['request']>> = {
      user_may_create_room: () => alice.request('POST', '/_matrix/client/v3/createRoom', { body: {} }),
      user_may_invite: () => invite(alice, roomId, bob.userId),
      user_may_join_room: () => join(bob, roomId),
      check_event_for_spam: () => say(alice, roomId, 'hello'),
      user_may_create_room_alias: () => alice.request('PUT', alias, { body: { room_id: roomId } }),
      user_may_publish_room: () => alice.request('PUT', list, { body: { visibility: 'public' } }),
      check_login_for_spam: () =>
        hs.client().request('POST', '/_matrix/client/v3/login', {
          body: {
            type: 'm.login.password',
            identifier: { type: 'm.id.user', user: 'bob' },
            password: 'correct horse',
            device_id: 'D',
          },
        }),
    }
    for (const [callback, act] of Object.entries(actions)) {
      asked.length = 0
      refused.add(callback)
      const { status, body } = await act()
      expect([status, body], callback).to.deep.equal([
        403,
        { errcode: 'ORG.EXAMPLE.NO', error: `no ${callback}`, more: 1 },
      ])
      refused.clear()
      expect((await act()).status, callback).to.equal(200)
      expect(asked.map((each) => each.callback)).to.include(callback)
      expect(asked.every(({ authorization }) => authorization === 'Bearer a token')).to.equal(true)
      const { body: question } = asked.find((each) => each.callback === callback)!
      const { event, ...rest } = question
      expect(rest).to.deep.equal(
        {
          user_may_create_room: { user_id: alice.userId },
          user_may_invite: { inviter: alice.userId, invitee: bob.userId, room_id: roomId },
          user_may_join_room: { user: bob.userId, room: roomId, is_invited: true },
          user_may_create_room_alias: { user_id: alice.userId, room_alias: '#a:hs.test' },
          user_may_publish_room: { user_id: alice.userId, room_id: roomId },
          check_login_for_spam: {
            user_id: bob.userId,
            device_id: 'D',
            initial_display_name: null,
            request_info: [['node', '127.0.0.1']],
            auth_provider_id: null,
          },
        }[callback] ?? {},
      )
      if (callback === 'check_event_for_spam') {
        expect(event).to.include({ type: 'm.room.message', sender: alice.userId, room_id: roomId })
        expect(event).to.have.property('event_id').that.is.a('string')
        expect(event).not.to.have.any.keys('auth_events', 'prev_events', 'hashes', 'signatures', 'depth')
      }
    }
    // Who is in the room is asked about no more.
    asked.length = 0
    refused.add('user_may_join_room')
    expect((await join(bob, roomId)).status).to.equal(200)
  })
})

describe('a service that says what is spam', () => {
  it('has no say in what administrators do, but for what they write', async () => {
    await using service = await startJudge(() => spam({}))
    await using hs = await startHomeserver({ config: antispam(service.port) })
    const session = await adminOf(hs)
    const bob = await hs.register('bob')
    const roomId = await session.createRoom({ preset: 'public_chat', invite: [bob.userId] })
    const { status, body } = await say(session, roomId, 'hello')
    expect([status, body['errcode']]).to.deep.equal([403, 'M_FORBIDDEN'])
    expect(body['error']).to.equal('This message has been rejected as probable spam')
  })

  it('is asked what is enabled, and nothing else', async () => {
    const asked: Asked[] = []
    await using service = await startJudge(() => spam({}), asked)
    const config = antispam(service.port, { enabled_callbacks: ['user_may_invite'] })
    await using hs = await startHomeserver({ config })
    const [alice, bob] = [await hs.register('alice'), await hs.register('bob')]
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    expect((await say(alice, roomId, 'hello')).status).to.equal(200)
    expect((await join(bob, roomId)).status).to.equal(200)
    expect(asked).to.deep.equal([])
    const inviting = { invite: [bob.userId] }
    const creation = await alice.request('POST', '/_matrix/client/v3/createRoom', { body: inviting })
    expect([creation.status, creation.body['errcode']]).to.deep.equal([403, 'M_FORBIDDEN'])
    expect(asked.map(({ body }) => body)).to.deep.equal([
      { inviter: alice.userId, invitee: bob.userId, room_id: '' },
    ])
  })

  it('hides people whom others look for', async () => {
    const judge: Judge = ({ body }) =>
      JSON.stringify(body).includes('Bad') ? spam({ errcode: 'M_FORBIDDEN' }) : undefined
    await using service = await startJudge(judge)
    const user_directory = { search_all_users: true }
    await using hs = await startHomeserver({ config: { ...antispam(service.port), user_directory } })
    const [alice, bob, eve] = [
      await hs.register('alice'),
      await hs.register('test-bob'),
      await hs.register('test-eve'),
    ]
    const name = path`/_matrix/client/v3/profile/${eve.userId}/displayname`
    await eve.must('PUT', name, { body: { displayname: 'Test Bad' } })
    const { results } = await alice.must('POST', '/_matrix/client/v3/user_directory/search', {
      body: { search_term: 'test' },
    })
    expect((results as JsonObject[]).map((user) => user['user_id'])).to.deep.equal([bob.userId])
  })

  it('that says nothing of use keeps people from doing it, unless it fails open', async () => {
    const wrong: Record<string, RequestListener> = {
      'no JSON': (_request, response) => response.end('fine'),
      nothing: (_request, response) => response.writeHead(204).end(),
      'an error without a body': (_request, response) => response.writeHead(502).end('<html>'),
      abrupt: MISBEHAVIOUR.abrupt,
      huge: MISBEHAVIOUR.huge,
    }
    for (const [what, handler] of Object.entries(wrong)) {
      await using service = await startHttpServer(handler)
      const callbacks = ['user_may_invite', 'user_may_join_room', 'check_event_for_spam']
      const more = { enabled_callbacks: callbacks, fail_open: { user_may_join_room: true } }
      await using hs = await startHomeserver({ config: antispam(service.port, more) })
      const [alice, bob] = [await hs.register('alice'), await hs.register('bob')]
      const roomId = await alice.createRoom({ preset: 'public_chat' })
      const { status, body } = await invite(alice, roomId, bob.userId)
      expect([status, body['errcode']], what).to.deep.equal([403, 'M_UNKNOWN'])
      expect((await join(bob, roomId)).status, what).to.equal(200)
      // Else nothing would arrive any more.
      expect((await say(alice, roomId, 'hello')).status, what).to.equal(200)
    }
    await using gone = await startJudge(() => undefined)
    const { port } = gone
    await gone[Symbol.asyncDispose]()
    const closed = { fail_open: { check_event_for_spam: false }, enabled_callbacks: ['check_event_for_spam'] }
    await using hs = await startHomeserver({ config: antispam(port, closed) })
    const alice = await hs.register('alice')
    const roomId = await alice.createRoom({})
    const { status, body } = await say(alice, roomId, 'hello')
    expect([status, body['errcode']]).to.deep.equal([403, 'M_UNKNOWN'])
  })

  it('is only told of what it may not judge', async () => {
    const asked: Asked[] = []
    await using service = await startJudge(() => spam({}), asked)
    const more = { enabled_callbacks: ['user_may_invite'], async: { user_may_invite: true } }
    await using hs = await startHomeserver({ config: antispam(service.port, more) })
    const [alice, bob] = [await hs.register('alice'), await hs.register('bob')]
    const roomId = await alice.createRoom({})
    expect((await invite(alice, roomId, bob.userId)).status).to.equal(200)
    await bob.mustSyncUntil(syncInvitedTo(roomId))
    await eventually(() => asked.length > 0)
    expect(asked[0]?.body).to.include({ invitee: bob.userId })
  })

  it('is greeted where it wants that', async () => {
    const asked: Asked[] = []
    const judge: Judge = ({ body }) => [200, JSON.stringify({ id: body['id'], status: 'ok' })]
    await using service = await startJudge(judge, asked)
    const more = { do_ping: true, enabled_callbacks: [] }
    await using hs = await startHomeserver({ config: antispam(service.port, more) })
    await eventually(() => asked.length > 0)
    await hs.register('alice')
    expect(asked.map(({ callback }) => callback)).to.deep.equal(['ping'])
    expect(asked[0]?.body['id']).to.match(/^\w{8}$/)
  })
})

describe('a service that says what is spam of other servers', function () {
  this.timeout(30_000)

  it('is asked about their invitations and their messages', async () => {
    const asked: Asked[] = []
    const refused = new Set(['federated_user_may_invite'])
    const judge: Judge = ({ callback, body }) =>
      refused.has(callback) || JSON.stringify(body).includes('buy this')
        ? spam({ errcode: 'M_FORBIDDEN' })
        : undefined
    await using service = await startJudge(judge, asked)
    await using servers = await startFederation(['a.test', 'b.test'], {
      configOf: { 'b.test': antispam(service.port) },
    })
    const [a, b] = servers.list
    const [alice, bob] = [await a!.register('alice'), await b!.register('bob')]
    const roomId = await alice.createRoom({ preset: 'private_chat' })
    expect((await invite(alice, roomId, bob.userId)).status).to.equal(403)
    const { event } = asked.find(({ callback }) => callback === 'federated_user_may_invite')!.body
    expect(event).to.include({ type: 'm.room.member', state_key: bob.userId, room_id: roomId })
    refused.clear()
    expect((await invite(alice, roomId, bob.userId)).status).to.equal(200)
    await bob.mustSyncUntil(syncInvitedTo(roomId))
    expect((await join(bob, roomId)).status).to.equal(200)
    await bob.mustSyncUntil(syncJoinedTo(roomId))
    for (const text of ['hello', 'buy this', 'bye'])
      expect((await say(alice, roomId, text)).status).to.equal(200)
    const seen: unknown[] = []
    await bob.mustSyncUntil((response) => {
      const text = JSON.stringify(response)
      seen.push(text)
      return text.includes('"bye"')
    })
    expect(seen.join('')).to.include('"hello"').and.not.to.include('buy this')
  })
})

async function adminOf(hs: TestHomeserver): Promise<MatrixClient> {
  return hs.register('admin', { isAdmin: true })
}

/** Resolves when it is so; what happens in the meantime is the server's business. */
async function eventually(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve))
}
