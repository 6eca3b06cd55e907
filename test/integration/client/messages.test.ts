import { expect } from 'chai'
import type { JsonObject } from '../../../src/util/json.js'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { dig, eventsAt, path, type ClientResponse, type MatrixClient } from '../../support/matrix-client.js'

forEachServerDatabase('Reading messages', (database) => {
  let hs: TestHomeserver
  let alice: MatrixClient
  let bob: MatrixClient
  let roomId: string

  before(async () => {
    hs = await startHomeserver({ database })
    alice = await hs.register('alice')
    bob = await hs.register('bob')
  })

  after(() => hs[Symbol.asyncDispose]())

  beforeEach(async () => {
    roomId = await alice.createRoom({ preset: 'public_chat' })
  })

  const bodiesOf = (answer: JsonObject, key = 'chunk'): unknown[] =>
    eventsAt(answer, key).map((event) => dig(event, 'content', 'body'))

  function ask(
    client: MatrixClient,
    tail: string,
    query: Record<string, string> = {},
  ): Promise<ClientResponse> {
    return client.request('GET', path`/_matrix/client/v3/rooms/${roomId}/` + tail, { query })
  }

  it('pages through 60 messages to the beginning of the room, r0 too', async () => {
    const texts = Array.from({ length: 60 }, (_, index) => `message ${index}`)
    for (const text of texts) await alice.sendText(roomId, text)
    await bob.join(roomId)
    const seen: unknown[] = []
    let from: string | undefined
    do {
      const query = { dir: 'b', limit: 25, from }
      const page = await bob.must('GET', path`/_matrix/client/r0/rooms/${roomId}/messages`, { query })
      seen.push(...bodiesOf(page))
      from = page['end'] as string | undefined
    } while (from !== undefined)
    expect(seen.filter((body) => body !== undefined)).to.deep.equal(texts.toReversed())
  })

  it('goes on where a sync has ended, in both directions', async () => {
    await alice.sendText(roomId, 'before')
    const token = await alice.syncToken()
    await alice.sendText(roomId, 'after')
    expect(bodiesOf(await alice.messages(roomId, { dir: 'f', from: token }))).to.deep.equal(['after'])
    expect(bodiesOf(await alice.messages(roomId, { dir: 'b', from: token, limit: 1 }))).to.deep.equal([
      'before',
    ])
    expect(bodiesOf(await alice.messages(roomId, { dir: 'b', to: token }))).to.deep.equal(['after'])
  })

  it('goes back from the prev_batch of a limited timeline without a gap', async () => {
    const texts = ['one', 'two', 'three', 'four', 'five']
    for (const text of texts) await alice.sendText(roomId, text)
    const answer = await alice.sync({ filter: { room: { timeline: { limit: 2 } } } })
    const timeline = dig(answer, 'rooms', 'join', roomId, 'timeline')
    const shown = eventsAt(timeline, 'events').map((event) => dig(event, 'content', 'body'))
    expect(shown).to.deep.equal(['four', 'five'])
    const from = dig(timeline, 'prev_batch') as string
    expect(bodiesOf(await alice.messages(roomId, { dir: 'b', from, limit: 3 }))).to.deep.equal([
      'three',
      'two',
      'one',
    ])
  })

  it('filters, and adds members who are loaded lazily', async () => {
    await bob.join(roomId)
    await bob.sendText(roomId, 'from Bob')
    await alice.sendText(roomId, 'from Alice')
    const filter = JSON.stringify({
      senders: [bob.userId],
      types: ['m.room.message'],
      lazy_load_members: true,
    })
    const page = await alice.messages(roomId, { dir: 'b', filter })
    expect(bodiesOf(page)).to.deep.equal(['from Bob'])
    expect(eventsAt(page, 'state').map((event) => event['state_key'])).to.deep.equal([bob.userId])
  })

  it('tells clients about the events: transaction, membership, edits, redaction', async () => {
    const eventId = await alice.sendEvent(
      roomId,
      'm.room.message',
      { msgtype: 'm.text', body: 'typo' },
      'my-txn',
    )
    const edit = await alice.sendEvent(roomId, 'm.room.message', {
      msgtype: 'm.text',
      body: '* fixed',
      'm.new_content': { msgtype: 'm.text', body: 'fixed' },
      'm.relates_to': { rel_type: 'm.replace', event_id: eventId },
    })
    const event = await alice.must('GET', path`/_matrix/client/v3/rooms/${roomId}/event/${eventId}`)
    expect(event).to.deep.include({ type: 'm.room.message', sender: alice.userId, room_id: roomId })
    expect(dig(event, 'unsigned', 'transaction_id')).to.equal('my-txn')
    expect(dig(event, 'unsigned', 'membership')).to.equal('join')
    expect(dig(event, 'unsigned', 'age')).to.be.a('number')
    expect(dig(event, 'unsigned', 'm.relations', 'm.replace', 'event_id')).to.equal(edit)
    const redaction = await alice.redact(roomId, eventId, 'spam')
    const redacted = await alice.must('GET', path`/_matrix/client/v3/rooms/${roomId}/event/${eventId}`)
    expect(redacted['content']).to.deep.equal({})
    expect(dig(redacted, 'unsigned', 'redacted_because', 'event_id')).to.equal(redaction)
    expect(dig(redacted, 'unsigned', 'redacted_because', 'content', 'reason')).to.equal('spam')
  })

  it('shows what was around an event, and finds events by time', async () => {
    const ids: string[] = []
    for (const text of ['0', '1', '2', '3', '4']) ids.push(await alice.sendText(roomId, text))
    const { body } = await ask(alice, `context/${encodeURIComponent(ids[2]!)}`, { limit: '2' })
    expect(bodiesOf(body, 'events_before')).to.deep.equal(['1'])
    expect(bodiesOf(body, 'events_after')).to.deep.equal(['3'])
    expect(dig(body, 'event', 'event_id')).to.equal(ids[2])
    const target = path`/_matrix/client/v1/rooms/${roomId}/timestamp_to_event`
    const ts = dig(body, 'event', 'origin_server_ts') as number
    const found = await alice.must('GET', target, { query: { ts: ts + 1_000_000, dir: 'b' } })
    expect(found['event_id']).to.equal(ids[4])
    const nothing = await alice.request('GET', target, { query: { ts: ts + 1_000_000, dir: 'f' } })
    expect(nothing).to.deep.include({ status: 404 })
    expect(nothing.body).to.include({ errcode: 'M_NOT_FOUND' })
  })

  it('refuses what it cannot read with 400', async () => {
    const bad: Record<string, string>[] = [
      { dir: 'x' },
      { dir: 'b', from: 'nonsense' },
      { dir: 'b', to: 't1' },
      { dir: 'b', limit: '-1' },
      { dir: 'b', limit: 'many' },
      { dir: 'b', filter: '{' },
      { dir: 'b', filter: '[]' },
      { dir: 'b', filter: '{"types":"m.room.message"}' },
      { dir: 'b', filter: JSON.stringify({ types: ['\u0000'] }) },
    ]
    for (const query of bad) {
      const { status, body } = await ask(alice, 'messages', query)
      expect(status, JSON.stringify(query)).to.equal(400)
      expect(body['errcode'], JSON.stringify(query)).to.be.oneOf(['M_INVALID_PARAM', 'M_BAD_JSON'])
    }
    const members = await ask(alice, 'members', { at: 'nonsense' })
    expect(members.status).to.equal(400)
  })

  it('says 403 for rooms that are not for the reader, and 404 for their events', async () => {
    const eventId = encodeURIComponent(await alice.sendText(roomId, 'hello'))
    for (const tail of [
      'messages',
      `context/${eventId}`,
      'state',
      'state/m.room.create',
      'members',
      'joined_members',
      'initialSync',
    ]) {
      const { status, body } = await ask(bob, tail, tail === 'messages' ? { dir: 'b' } : {})
      expect({ tail, status, errcode: body['errcode'] }).to.deep.equal({
        tail,
        status: 403,
        errcode: 'M_FORBIDDEN',
      })
    }
    expect(await ask(bob, `event/${eventId}`)).to.deep.include({ status: 404 })
    expect(await ask(hs.client(), `event/${eventId}`)).to.deep.include({ status: 401 })
    await bob.join(roomId)
    expect(await ask(bob, `event/${eventId}`)).to.deep.include({ status: 200 })
    await bob.leave(roomId)
    await bob.forget(roomId)
    expect(await ask(bob, 'messages')).to.deep.include({ status: 403 })
  })
})
