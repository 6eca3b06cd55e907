import { expect } from 'chai'
import type { JsonObject, JsonValue } from '../../../src/util/json.js'
import { startFederation, type TestFederation } from '../../support/federation.js'
import { LinearRoom } from '../../support/linear-room.js'
import { dig, path, syncJoinedTo, syncTimelineHas, type MatrixClient } from '../../support/matrix-client.js'

const COMPLEXITY = (roomId: string): string =>
  `/_matrix/federation/unstable/rooms/${encodeURIComponent(roomId)}/complexity`

describe('rooms that are more than a server takes', function () {
  this.timeout(30_000)
  let servers: TestFederation
  let alice: MatrixClient
  let bob: MatrixClient

  before(async () => {
    servers = await startFederation(['a.test', 'b.test'], {
      configOf: {
        'b.test': {
          limit_remote_rooms: {
            enabled: true,
            complexity: 0.02,
            complexity_error: 'Too much for us',
            admins_can_join: true,
          },
        },
      },
    })
    alice = await servers.get('a.test').register('alice')
    bob = await servers.get('b.test').register('bob')
  })
  after(async () => {
    await servers[Symbol.asyncDispose]()
  })

  async function join(client: MatrixClient, roomId: string, via: string): Promise<[number, JsonObject]> {
    const { status, body } = await client.request('POST', path`/_matrix/client/v3/join/${roomId}`, {
      query: { via },
      body: {},
    })
    return [status, body]
  }

  /** From one rounded hundredth of complexity to at least three. */
  async function enlarge(roomId: string): Promise<void> {
    await Promise.all(
      Array.from({ length: 10 }, (_, i) => alice.sendState(roomId, 'org.example.piece', String(i), {})),
    )
  }

  const refusal = [400, { errcode: 'M_RESOURCE_LIMIT_EXCEEDED', error: 'Too much for us' }]

  it('are not joined when a server in them says so', async () => {
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    expect((await join(bob, roomId, 'a.test'))[0]).to.equal(200)
    const large = await alice.createRoom({ preset: 'public_chat' })
    await enlarge(large)
    expect(await join(bob, large, 'a.test')).to.deep.equal(refusal)
    const members = await alice.request('GET', path`/_matrix/client/v3/rooms/${large}/joined_members`)
    expect(Object.keys(dig(members.body, 'joined') as JsonObject)).to.deep.equal([alice.userId])
  })

  it('are joined by administrators where they may', async () => {
    const large = await alice.createRoom({ preset: 'public_chat' })
    await enlarge(large)
    const admin = await servers.get('b.test').register('admin', { isAdmin: true })
    expect((await join(admin, large, 'a.test'))[0]).to.equal(200)
  })

  it('are left again when they turn out too complex', async () => {
    const large = await alice.createRoom({ preset: 'private_chat', invite: [bob.userId] })
    await enlarge(large)
    expect(await join(bob, large, 'a.test')).to.deep.equal(refusal)
    await alice.mustSyncUntil(
      syncTimelineHas(
        large,
        (event) => event['state_key'] === bob.userId && dig(event, 'content', 'membership') === 'leave',
      ),
    )
  })

  it('are joined when they are not, though nobody would say', async () => {
    const small = await alice.createRoom({ preset: 'private_chat', invite: [bob.userId] })
    expect((await join(bob, small, 'a.test'))[0]).to.equal(200)
    await bob.mustSyncUntil(syncJoinedTo(small))
  })

  it('are judged by servers that say something of sense', async () => {
    const fake = await servers.fake('fake.test')
    const room = new LinearRoom(fake, '10')
    room.serve()
    let complexity: JsonValue = 'much'
    fake.on('GET', COMPLEXITY(room.roomId), () => ({ json: { v1: complexity } }))
    complexity = 0.03
    expect(await join(bob, room.roomId, 'fake.test')).to.deep.equal(refusal)
    complexity = 'much'
    expect((await join(bob, room.roomId, 'fake.test'))[0]).to.equal(200)
  })

  it('are told of to servers that may know', async () => {
    const fake = await servers.fake('other.test')
    const open = await alice.createRoom({ preset: 'public_chat' })
    const answer = await fake.send('a.test', { path: COMPLEXITY(open) })
    expect(answer.status).to.equal(200)
    const { v1 } = answer.json
    expect(v1).to.be.a('number').within(0.01, 0.03)
    const closed = await alice.createRoom({ preset: 'private_chat' })
    const readable = await alice.createRoom({
      preset: 'private_chat',
      initial_state: [
        {
          type: 'm.room.history_visibility',
          state_key: '',
          content: { history_visibility: 'world_readable' },
        },
      ],
    })
    const denied = await alice.createRoom({
      preset: 'public_chat',
      initial_state: [
        {
          type: 'm.room.server_acl',
          state_key: '',
          content: { allow: ['*'], deny: ['other.test'] },
        },
      ],
    })
    const statusOf = async (roomId: string): Promise<unknown[]> => {
      const { status, json } = await fake.send('a.test', { path: COMPLEXITY(roomId) })
      return [status, json['errcode']]
    }
    expect(await statusOf(closed)).to.deep.equal([404, 'M_NOT_FOUND'])
    expect(await statusOf('!nothing:a.test')).to.deep.equal([404, 'M_NOT_FOUND'])
    expect(await statusOf(readable)).to.deep.equal([200, undefined])
    expect(await statusOf(denied)).to.deep.equal([403, 'M_FORBIDDEN'])
  })
})
