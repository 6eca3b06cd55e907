import { createHash } from 'node:crypto'
import { expect } from 'chai'
import type { JsonObject } from '../../../src/util/json.js'
import { encodeBase64 } from '../../../src/util/base64.js'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { dig, eventsAt, path, type MatrixClient } from '../../support/matrix-client.js'

const PATH = '/_matrix/client/unstable/event_relationships'

forEachServerDatabase('Threads by m.relationship', (database) => {
  let hs: TestHomeserver
  let alice: MatrixClient
  let roomId: string
  /** a ── b ── c, a ── d, d ── e. */
  let ids: Record<'a' | 'b' | 'c' | 'd' | 'e', string>

  before(async () => {
    hs = await startHomeserver({ database })
    alice = await hs.register('alice')
    roomId = await alice.createRoom({ preset: 'private_chat' })
    const a = await alice.sendText(roomId, 'a')
    const b = await answer(a)
    const c = await answer(b)
    const d = await answer(a)
    ids = { a, b, c, d, e: await answer(d) }
  })

  after(() => hs[Symbol.asyncDispose]())

  function answer(eventId: string, relType = 'm.reference'): Promise<string> {
    return alice.sendEvent(roomId, 'm.room.message', {
      msgtype: 'm.text',
      body: 'an answer',
      'm.relationship': { rel_type: relType, event_id: eventId },
    })
  }

  async function walk(eventId: string, request: JsonObject = {}, client = alice) {
    const body = await client.must('POST', PATH, { body: { event_id: eventId, ...request } })
    const events = eventsAt(body, 'events')
    const names = Object.fromEntries(Object.entries(ids).map(([name, id]) => [id, name]))
    return {
      events,
      names: events.map((event) => names[event['event_id'] as string]).join(''),
      limited: body['limited'],
    }
  }

  it('are walked down, by level or by branch, the latest or the oldest first', async () => {
    expect(await walk(ids.a)).to.include({ names: 'adbec', limited: false })
    expect((await walk(ids.a, { recent_first: false })).names).to.equal('abdce')
    expect((await walk(ids.a, { depth_first: true })).names).to.equal('adebc')
    expect((await walk(ids.a, { depth_first: true, recent_first: false })).names).to.equal('abcde')
  })

  it('are walked as far as is asked for', async () => {
    expect((await walk(ids.a, { max_depth: 1 })).names).to.equal('adb')
    expect((await walk(ids.a, { max_breadth: 1 })).names).to.equal('ade')
    expect(await walk(ids.a, { limit: 3 })).to.include({ names: 'adb', limited: true })
    expect(await walk(ids.a, { limit: 5 })).to.include({ names: 'adbec', limited: false })
  })

  it('are walked up', async () => {
    expect((await walk(ids.e, { direction: 'up' })).names).to.equal('eda')
    expect((await walk(ids.e, { direction: 'up', max_depth: 1 })).names).to.equal('ed')
  })

  it('are shown with the parent and the children of an event', async () => {
    expect((await walk(ids.b, { include_parent: true, direction: 'up', max_depth: 1 })).names).to.equal('ba')
    expect((await walk(ids.d, { include_parent: true, include_children: true })).names).to.equal('dae')
    const inclusive = await walk(ids.a, { include_children: true, direction: 'up' })
    expect(inclusive.names).to.equal('adb')
  })

  it('tell how many answer each event, and which', async () => {
    const { events } = await walk(ids.a, { max_depth: 1 })
    const hash = createHash('sha256').update([ids.b, ids.d].sort().join('')).digest()
    expect(dig(events[0], 'unsigned', 'children')).to.deep.equal({ 'm.reference': 2 })
    expect(dig(events[0], 'unsigned', 'children_hash')).to.equal(encodeBase64(hash))
    expect((await walk(ids.c)).events[0]).to.not.have.nested.property('unsigned.children')
  })

  it('lose what is redacted', async () => {
    const root = await alice.sendText(roomId, 'root')
    const child = await answer(root, 'org.example.other')
    await alice.redact(roomId, child)
    const { events } = await walk(root)
    expect(events.map((event) => event['event_id'])).to.deep.equal([root])
  })

  it('do not leave their room', async () => {
    const elsewhere = await alice.createRoom()
    const root = await alice.sendText(elsewhere, 'root')
    const child = await answer(root)
    expect((await walk(root)).events).to.have.length(1)
    expect((await walk(child, { direction: 'up', include_parent: true })).events).to.have.length(1)
  })

  it('are shown to those who may read them, and as much of them as they may', async () => {
    const bob = await hs.register('bob')
    const refused = await bob.request('POST', PATH, { body: { event_id: ids.a } })
    expect([refused.status, refused.body['errcode']]).to.deep.equal([403, 'M_FORBIDDEN'])
    const unknown = await alice.request('POST', PATH, { body: { event_id: '$unknown', room_id: roomId } })
    expect([unknown.status, unknown.body['errcode']]).to.deep.equal([403, 'M_FORBIDDEN'])
    const hidden = await alice.createRoom({
      initial_state: [
        { type: 'm.room.history_visibility', content: { history_visibility: 'joined' } },
        { type: 'm.room.join_rules', content: { join_rule: 'public' } },
      ],
    })
    const before = await alice.sendText(hidden, 'before')
    await bob.join(hidden)
    const since = await alice.sendEvent(hidden, 'm.room.message', {
      msgtype: 'm.text',
      body: 'since',
      'm.relationship': { rel_type: 'm.reference', event_id: before },
    })
    const seen = await walk(since, { include_parent: true, direction: 'up' }, bob)
    expect(seen.events.map((event) => event['event_id'])).to.deep.equal([since])
  })

  it('need sensible requests', async () => {
    for (const body of [
      {},
      { event_id: 1 },
      { event_id: 'no ID' },
      { event_id: ids.a, room_id: 'no ID' },
      { event_id: ids.a, direction: 'sideways' },
      { event_id: ids.a, limit: 1.5 },
    ]) {
      const response = await alice.request('POST', PATH, { body })
      expect(response.status, JSON.stringify(body)).to.equal(400)
    }
    expect((await walk(ids.a, { limit: -1, max_depth: -1, max_breadth: -1 })).names).to.equal('adbec')
  })
})

describe('Threads by m.relationship that are switched off', () => {
  it('are not served', async () => {
    await using hs = await startHomeserver({ config: { experimental_features: { msc2836_enabled: false } } })
    const alice = await hs.register('alice')
    const response = await alice.request('POST', PATH, { body: { event_id: '$event' } })
    expect([response.status, response.body['errcode']]).to.deep.equal([404, 'M_UNRECOGNIZED'])
    const versions = await alice.must('GET', path`/_matrix/client/versions`)
    expect(dig(versions, 'unstable_features', 'org.matrix.msc2836')).to.equal(false)
  })
})
