import { expect } from 'chai'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { dig, eventsAt, path, type MatrixClient } from '../../support/matrix-client.js'

forEachServerDatabase('Related events', (database) => {
  let hs: TestHomeserver
  let alice: MatrixClient
  let roomId: string
  let root: string

  before(async () => {
    hs = await startHomeserver({ database })
    alice = await hs.register('alice')
  })

  after(() => hs[Symbol.asyncDispose]())

  beforeEach(async () => {
    roomId = await alice.createRoom({ preset: 'public_chat' })
    root = await alice.sendText(roomId, 'root')
  })

  function relate(eventId: string, relType: string, type = 'm.room.message'): Promise<string> {
    const relation = { rel_type: relType, event_id: eventId }
    return alice.sendEvent(roomId, type, { msgtype: 'm.text', body: 'related', 'm.relates_to': relation })
  }

  async function related(tail: string, query: Record<string, string | number> = {}) {
    const answer = await alice.must(
      'GET',
      path`/_matrix/client/v1/rooms/${roomId}/relations/${root}` + tail,
      { query },
    )
    return { ids: eventsAt(answer, 'chunk').map((event) => event['event_id']), answer }
  }

  it('are listed by relation and type, in pages', async () => {
    const reply = await relate(root, 'm.thread')
    const dummy = await relate(root, 'm.thread', 'm.dummy')
    const reference = await relate(root, 'm.reference')
    expect((await related('')).ids).to.deep.equal([reference, dummy, reply])
    expect((await related('/m.thread')).ids).to.deep.equal([dummy, reply])
    expect((await related('/m.thread/m.room.message')).ids).to.deep.equal([reply])
    const first = await related('', { limit: 2, dir: 'f' })
    expect(first.ids).to.deep.equal([reply, dummy])
    const second = await related('', { limit: 2, dir: 'f', from: first.answer['next_batch'] as string })
    expect(second.ids).to.deep.equal([reference])
    const indirect = await relate(reply, 'm.reference')
    expect((await related('', { recurse: 'true' })).ids).to.include(indirect)
    expect((await related('', { recurse: 'false' })).ids).to.not.include(indirect)
  })

  it('after the token of a sync are listed', async () => {
    await relate(root, 'm.thread')
    const from = await alice.syncToken()
    const later = [await relate(root, 'm.thread'), await relate(root, 'm.thread')]
    expect((await related('', { from, dir: 'f' })).ids).to.deep.equal(later)
  })

  it('make threads, which are listed and bundled', async () => {
    const other = await alice.sendText(roomId, 'other root')
    await relate(root, 'm.thread')
    await relate(other, 'm.thread')
    const latest = await relate(root, 'm.thread')
    const threads = await alice.must('GET', path`/_matrix/client/v1/rooms/${roomId}/threads`)
    const chunk = eventsAt(threads, 'chunk')
    expect(chunk.map((event) => event['event_id'])).to.deep.equal([root, other])
    const thread = dig(chunk[0], 'unsigned', 'm.relations', 'm.thread')
    expect(thread).to.include({ count: 2, current_user_participated: true })
    expect(dig(thread, 'latest_event', 'event_id')).to.equal(latest)
    const sync = await alice.sync()
    const timeline = eventsAt(sync, 'rooms', 'join', roomId, 'timeline', 'events')
    const inSync = timeline.find((event) => event['event_id'] === root)
    expect(dig(inSync, 'unsigned', 'm.relations', 'm.thread', 'count')).to.equal(2)
    const bad = await alice.request('GET', path`/_matrix/client/v1/rooms/${roomId}/threads`, {
      query: { limit: 0 },
    })
    expect(bad).to.deep.include({ status: 400 })
  })

  it('count for nothing once they are redacted', async () => {
    const bundled = async (): Promise<unknown> => {
      const event = await alice.must('GET', path`/_matrix/client/v3/rooms/${roomId}/event/${root}`)
      return dig(event, 'unsigned', 'm.relations', 'm.reference')
    }
    expect(await bundled()).to.equal(undefined)
    const reference = await relate(root, 'm.reference')
    expect(await bundled()).to.deep.equal({ chunk: [{ event_id: reference }] })
    await alice.must('PUT', path`/_matrix/client/v3/rooms/${roomId}/redact/${reference}/1`, { body: {} })
    expect(await bundled()).to.equal(undefined)
  })

  it('are nobody else’s business', async () => {
    const bob = await hs.register('bob')
    const refused = await bob.request('GET', path`/_matrix/client/v1/rooms/${roomId}/relations/${root}`)
    expect(refused).to.deep.include({ status: 404 })
    const threads = await bob.request('GET', path`/_matrix/client/v1/rooms/${roomId}/threads`)
    expect(threads).to.deep.include({ status: 403 })
  })
})
