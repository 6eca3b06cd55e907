import { expect } from 'chai'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { dig, eventsAt, path, type MatrixClient } from '../../support/matrix-client.js'

forEachServerDatabase('Looking into rooms', (database) => {
  let hs: TestHomeserver
  let alice: MatrixClient
  let bob: MatrixClient
  let charlie: MatrixClient

  before(async () => {
    hs = await startHomeserver({ database, config: { allow_guest_access: true } })
    alice = await hs.register('alice')
    bob = await hs.register('bob')
    charlie = await hs.register('charlie')
  })

  after(() => hs[Symbol.asyncDispose]())

  async function createRoom(historyVisibility: string): Promise<string> {
    return alice.createRoom({
      preset: 'public_chat',
      initial_state: [
        {
          type: 'm.room.history_visibility',
          state_key: '',
          content: { history_visibility: historyVisibility },
        },
      ],
    })
  }

  async function membersSeenBy(client: MatrixClient, roomId: string, query: Record<string, string> = {}) {
    const answer = await client.must('GET', path`/_matrix/client/v3/rooms/${roomId}/members`, { query })
    return eventsAt(answer, 'chunk')
      .map((event) => `${event['state_key'] as string} ${dig(event, 'content', 'membership') as string}`)
      .sort()
  }

  it('keeps a departed room as it was', async () => {
    const roomId = await createRoom('joined')
    await bob.join(roomId)
    await alice.sendState(roomId, 'm.room.name', '', { name: 'before' })
    await alice.sendText(roomId, 'seen')
    await bob.leave(roomId)
    const since = await bob.syncToken()
    await alice.sendState(roomId, 'm.room.name', '', { name: 'after' })
    await alice.sendText(roomId, 'unseen')
    await charlie.join(roomId)
    expect(await bob.state(roomId, 'm.room.name')).to.deep.equal({ name: 'before' })
    expect(await alice.state(roomId, 'm.room.name')).to.deep.equal({ name: 'after' })
    expect(await membersSeenBy(bob, roomId)).to.deep.equal([`${alice.userId} join`, `${bob.userId} leave`])
    const back = eventsAt(await bob.messages(roomId, { dir: 'b', from: since, limit: 2 }), 'chunk')
    expect(back.map((event) => event['type'])).to.deep.equal(['m.room.member', 'm.room.message'])
    expect(eventsAt(await bob.messages(roomId, { dir: 'f', from: since }), 'chunk')).to.deep.equal([])
  })

  it('lists members at a time and by membership', async () => {
    const roomId = await createRoom('shared')
    await bob.join(roomId)
    const token = await alice.syncToken()
    await bob.leave(roomId)
    await charlie.join(roomId)
    expect(await membersSeenBy(alice, roomId, { at: token })).to.deep.equal(
      [`${alice.userId} join`, `${bob.userId} join`].sort(),
    )
    expect(await membersSeenBy(alice, roomId, { membership: 'leave' })).to.deep.equal([`${bob.userId} leave`])
    expect(await membersSeenBy(alice, roomId, { not_membership: 'leave' })).to.deep.equal(
      [`${alice.userId} join`, `${charlie.userId} join`].sort(),
    )
    const joined = await alice.must('GET', path`/_matrix/client/v3/rooms/${roomId}/joined_members`)
    expect(dig(joined, 'joined')).to.have.all.keys(alice.userId, charlie.userId)
    expect(dig(joined, 'joined', alice.userId)).to.include({ display_name: 'alice' })
  })

  it('gives state as content or as an event, also with an empty state key and a slash', async () => {
    const roomId = await createRoom('shared')
    await alice.sendState(roomId, 'm.room.topic', '', { topic: 'Reading' })
    const base = path`/_matrix/client/v3/rooms/${roomId}/state/m.room.topic`
    for (const target of [base, `${base}/`]) {
      expect(await alice.must('GET', target)).to.include({ topic: 'Reading' })
      const event = await alice.must('GET', target, { query: { format: 'event' } })
      expect(event).to.include({ type: 'm.room.topic', state_key: '', sender: alice.userId })
    }
    expect(await alice.request('GET', base, { query: { format: 'other' } })).to.deep.include({ status: 400 })
    expect(await alice.request('GET', `${base}/nothing`)).to.deep.include({ status: 404 })
    const whole = await alice.request('GET', path`/_matrix/client/v3/rooms/${roomId}/state`)
    expect(JSON.parse(whole.text)).to.be.an('array').with.length.greaterThan(5)
  })

  it('lets guests and strangers read world-readable rooms, and nothing else', async () => {
    const open = await createRoom('world_readable')
    const closed = await createRoom('shared')
    const eventId = await alice.sendText(open, 'for everybody')
    const guest = await registerGuest()
    for (const reader of [bob, guest]) {
      expect(eventsAt(await reader.messages(open, { dir: 'b', limit: 1 }), 'chunk')[0]).to.have.property(
        'event_id',
        eventId,
      )
      expect(
        await reader.must('GET', path`/_matrix/client/v3/rooms/${open}/event/${eventId}`),
      ).to.have.property('event_id', eventId)
      const sync = await reader.must('GET', path`/_matrix/client/v3/rooms/${open}/initialSync`)
      expect(sync).to.include({ room_id: open, visibility: 'private' })
      expect(sync).to.not.have.property('membership')
      expect(await reader.state(open, 'm.room.history_visibility')).to.have.property('history_visibility')
      const refused = await reader.request('GET', path`/_matrix/client/v3/rooms/${closed}/initialSync`)
      expect(refused).to.deep.include({ status: 403 })
    }
  })

  async function registerGuest(): Promise<MatrixClient> {
    const body = await hs
      .client()
      .must('POST', '/_matrix/client/v3/register', { query: { kind: 'guest' }, body: {} })
    return hs.client().withSession({
      userId: body['user_id'] as string,
      deviceId: body['device_id'] as string,
      accessToken: body['access_token'] as string,
    })
  }

  for (const [historyVisibility, sees] of [
    ['invited', [false, true, true]],
    ['joined', [false, false, true]],
    ['shared', [true, true, true]],
  ] as const) {
    it(`shows newcomers what ${historyVisibility} history shows them`, async () => {
      const roomId = await createRoom(historyVisibility)
      const ids = [await alice.sendText(roomId, 'before')]
      await alice.invite(roomId, bob.userId)
      ids.push(await alice.sendText(roomId, 'invited'))
      await bob.join(roomId)
      ids.push(await alice.sendText(roomId, 'joined'))
      const statuses: number[] = []
      for (const id of ids) {
        const target = path`/_matrix/client/v3/rooms/${roomId}/event/${id}`
        statuses.push((await bob.request('GET', target)).status)
      }
      expect(statuses).to.deep.equal(sees.map((seen) => (seen ? 200 : 404)))
    })
  }
})
