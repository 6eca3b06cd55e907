import { expect } from 'chai'
import type { Event } from '../../../src/protocol/event.js'
import type { JsonObject } from '../../../src/util/json.js'
import type { FakeHomeserver } from '../../support/fake-homeserver.js'
import { FakeRoom, forge, toJson } from '../../support/fake-room.js'
import { startFederation, type TestFederation } from '../../support/federation.js'
import type { TestHomeserver } from '../../support/homeserver.js'
import { eventsAt, path, syncTimelineHasEventId, type MatrixClient } from '../../support/matrix-client.js'

const CAROL = '@carol:fake.test'
const VERSIONS = ['1', '6', '11', '12']
const GET_MISSING = '/_matrix/federation/v1/get_missing_events/:roomId'

describe('Events from other servers', () => {
  let servers: TestFederation
  let server: TestHomeserver
  let fake: FakeHomeserver
  let alice: MatrixClient

  beforeEach(async () => {
    servers = await startFederation(['a.test'])
    server = servers.get('a.test')
    fake = await servers.fake('fake.test')
    alice = await server.register('alice')
  })
  afterEach(() => servers[Symbol.asyncDispose]())

  /** A room of Alice's that Carol has joined. */
  async function roomOf(version: string): Promise<FakeRoom> {
    const roomId = await alice.createRoom({ preset: 'public_chat', room_version: version })
    return (await FakeRoom.join(fake, 'a.test', { roomId, version, userId: CAROL })).serve()
  }
  const mustSee = (room: FakeRoom, event: Event): Promise<string> =>
    alice.mustSyncUntil(syncTimelineHasEventId(room.roomId, event.eventId))
  const statusOf = async (room: FakeRoom, event: Event): Promise<number> =>
    (await alice.request('GET', path`/_matrix/client/v3/rooms/${room.roomId}/event/${event.eventId}`)).status
  /** The log of the server is not for reading: another event that comes after it says that one was dealt with. */
  async function sentinel(room: FakeRoom, after: Event): Promise<void> {
    const event = room.make({
      type: 'm.room.message',
      sender: CAROL,
      content: { body: 'sentinel' },
      after: [after],
    })
    await room.tell('a.test', event)
    await mustSee(room, event)
  }

  for (const version of VERSIONS) {
    it(`are taken in and built upon in version ${version}`, async () => {
      const room = await roomOf(version)
      const [first, second] = room.say(CAROL, 'one', 'two') as [Event, Event]
      const answer = await room.tell('a.test', first, second)
      expect(answer).to.deep.equal({ [first.eventId]: {}, [second.eventId]: {} })
      await mustSee(room, second)
      const eventId = await alice.sendText(room.roomId, 'three')
      const pdu = await fake.waitForPdu((json) => JSON.stringify(json).includes('three'))
      const reference =
        version === '1' ? (pdu['prev_events'] as [string][])[0]![0] : (pdu['prev_events'] as string[])[0]
      expect(reference).to.equal(second.eventId)
      expect(eventId).to.match(/^\$/)
    })

    it(`are asked for where they are missing, in version ${version}`, async () => {
      const room = await roomOf(version)
      const [known] = room.ends as [Event]
      const said = room.say(CAROL, '1', '2', '3', '4', '5', '6')
      const last = said.at(-1)!
      await room.tell('a.test', last)
      await mustSee(room, last)
      const [request] = fake.received('POST', GET_MISSING)
      expect(request?.body).to.include({ limit: 20 })
      expect(request?.body).to.deep.include({
        earliest_events: [known.eventId],
        latest_events: [last.eventId],
      })
      expect(fake.received('GET', '/_matrix/federation/v1/state_ids/:roomId')).to.be.empty
      const { chunk } = await alice.messages(room.roomId, { dir: 'b', limit: 6 })
      expect(eventsAt(chunk).map((event) => event['event_id'])).to.deep.equal(
        said.map(({ eventId }) => eventId).reverse(),
      )
    })

    it(`follow gaps with the state at their far end, in version ${version}`, async () => {
      const room = await roomOf(version)
      const said = room.say(CAROL, ...Array.from({ length: 30 }, (_, index) => String(index)))
      const join = room.send({
        type: 'm.room.member',
        sender: CAROL,
        stateKey: CAROL,
        content: { membership: 'join', displayname: 'Carol' },
        after: [said[2]!],
      })
      const later = room.say(CAROL, ...Array.from({ length: 30 }, (_, index) => `later ${index}`))
      await room.tell('a.test', later.at(-1)!)
      await mustSee(room, later.at(-1)!)
      expect(fake.received('GET', '/_matrix/federation/v1/state_ids/:roomId')).to.have.length(1)
      const member = await alice.state(room.roomId, 'm.room.member', CAROL)
      expect(member).to.include({ displayname: 'Carol' })
      expect(await statusOf(room, join)).to.equal(404)
      // The room goes on from both of its ends.
      await alice.sendText(room.roomId, 'joined')
      const pdu = await fake.waitForPdu((json) => JSON.stringify(json).includes('joined'))
      expect(pdu['prev_events']).to.have.length.above(0)
    })

    it(`are rejected with all that rejected events authorize, in version ${version}`, async () => {
      const room = await roomOf(version)
      const create = room.current('m.room.create')
      const listed = version === '12' ? [] : [create]
      const [rules, levels, member] = [
        room.current('m.room.join_rules'),
        room.current('m.room.power_levels'),
        room.current('m.room.member', CAROL),
      ]
      const after = [...room.ends]
      const rejected = room.make({
        type: 'm.room.power_levels',
        sender: CAROL,
        stateKey: '',
        content: { users: {} },
        after,
      })
      await room.tell('a.test', rejected)
      const outlier = room.make({
        type: 'm.room.member',
        sender: CAROL,
        stateKey: CAROL,
        content: { membership: 'join', test: 1 },
        after,
        authEvents: [...listed, rules, rejected, member],
      })
      const authEvents = [...listed, levels, member, outlier]
      const sent = room.make({
        type: 'm.room.message',
        sender: CAROL,
        content: { body: 'x' },
        after,
        authEvents,
      })
      const again = room.make({
        type: 'm.room.message',
        sender: CAROL,
        content: { body: 'y' },
        after: [sent],
        authEvents,
      })
      const good = room.make({
        type: 'm.room.message',
        sender: CAROL,
        content: { body: 'z' },
        after: [again],
      })
      await room.tell('a.test', sent, again, good)
      await mustSee(room, good)
      for (const event of [rejected, outlier, sent, again]) expect(await statusOf(room, event)).to.equal(404)
    })
  }

  it('are dropped whose sender does not tell what came before them, and taken when it does', async () => {
    const room = await roomOf('12')
    const [known] = room.ends as [Event]
    fake.on('POST', GET_MISSING, () => ({ status: 404, json: { errcode: 'M_NOT_FOUND' } }))
    const [first, second] = room.say(CAROL, 'first', 'second') as [Event, Event]
    expect(await room.tell('a.test', second)).to.deep.equal({ [second.eventId]: {} })
    await fake.waitFor('POST', GET_MISSING)
    await sentinel(room, known)
    expect(await statusOf(room, second)).to.equal(404)
    expect(fake.received('GET', '/_matrix/federation/v1/state_ids/:roomId')).to.be.empty
    await room.tell('a.test', first)
    await mustSee(room, first)
    await room.tell('a.test', second)
    await mustSee(room, second)
  })

  it('are refused with numbers that the room version does not know; others of the answer are taken', async () => {
    const room = await roomOf('12')
    const [known] = room.ends as [Event]
    const [bad, good] = room.say(CAROL, 'bad', 'good') as [Event, Event]
    fake.on('POST', GET_MISSING, () => ({
      json: { events: [{ ...toJson(bad), content: { body: 'bad', value: 1.1 } }, { type: 3 }, 'x'] },
    }))
    await room.tell('a.test', good)
    await fake.waitFor('POST', GET_MISSING)
    const [last] = room.say(CAROL, 'last') as [Event]
    await room.tell('a.test', last)
    const request = await fake.waitFor('POST', GET_MISSING, ({ body }) =>
      JSON.stringify(body).includes(last.eventId),
    )
    expect(request.body).to.deep.include({ earliest_events: [known.eventId], latest_events: [last.eventId] })
  })

  it('may have long state keys in old rooms', async () => {
    const room = await roomOf('10')
    await alice.sendState(room.roomId, 'm.room.power_levels', '', {
      users: { '@alice:a.test': 100, [CAROL]: 100 },
    })
    await room.joinThrough('a.test', '@dave:fake.test')
    const short = toJson(room.make({ type: 'my.room.breaker', sender: CAROL, stateKey: '💥' }))
    const long = forge(room.rules, { ...short, state_key: '💥'.repeat(70) }, fake.signer)
    room.add(long)
    const [after] = room.say(CAROL, 'after') as [Event]
    await room.tell('a.test', after)
    await mustSee(room, after)
    expect(await statusOf(room, long)).to.equal(200)
  })

  it('lose what they do not vouch for: content with another hash', async () => {
    const room = await roomOf('11')
    const [event] = room.say(CAROL, 'original') as [Event]
    const forged = { ...toJson(event), content: { msgtype: 'm.text', body: 'forged' } }
    await fake.sendTransaction('a.test', { pdus: [forged] })
    await mustSee(room, event)
    const shown = await alice.must(
      'GET',
      path`/_matrix/client/v3/rooms/${room.roomId}/event/${event.eventId}`,
    )
    expect(shown['content']).to.deep.equal({})
  })

  it('are refused with the reason, one by one', async () => {
    const room = await roomOf('12')
    const other = await servers.fake('other.test')
    const [good] = room.say(CAROL, 'good') as [Event]
    const unsigned = room.make({ type: 'm.room.message', sender: CAROL, signer: other.signer })
    const foreign = room.make({ type: 'm.room.message', sender: '@eve:a.test' })
    const forged = { ...toJson(room.make({ type: 'm.room.message', sender: CAROL })) }
    forged['signatures'] = { 'fake.test': { 'ed25519:fake': 'A'.repeat(86) } }
    const pdus = [
      toJson(good),
      toJson(unsigned),
      toJson(foreign),
      forged,
      { room_id: room.roomId },
      'x',
      { type: 'x' },
    ]
    const reply = await fake.sendTransaction('a.test', { pdus: pdus as JsonObject[] })
    expect(reply.status).to.equal(200)
    const results = reply.json['pdus'] as Record<string, JsonObject>
    expect(results[good.eventId]).to.deep.equal({})
    expect(results[unsigned.eventId]!['error']).to.match(/fake\.test has not signed/)
    expect(results[foreign.eventId]!['error']).to.match(/a\.test has not signed/)
    expect(
      Object.values(results).filter((result) => JSON.stringify(result).includes('signature')),
    ).to.have.length(1)
    await mustSee(room, good)
  })

  it('come at most 50 at a time, with at most 100 EDUs', async () => {
    const room = await roomOf('12')
    const events = room.say(CAROL, ...Array.from({ length: 51 }, (_, index) => String(index)))
    const many = await fake.sendTransaction('a.test', { pdus: events.map(toJson) })
    expect(many.status).to.equal(400)
    const edus = Array.from({ length: 101 }, () => ({ edu_type: 'm.typing', content: {} }))
    expect((await fake.sendTransaction('a.test', { edus })).status).to.equal(400)
    await room.tell('a.test', ...events.slice(0, 50))
    await mustSee(room, events[49]!)
  })

  it('of a transaction that comes again are answered as before', async () => {
    const room = await roomOf('12')
    const [event] = room.say(CAROL, 'x') as [Event]
    const send = (pdus: Event[]): Promise<{ json: JsonObject }> =>
      fake.sendTransaction('a.test', { pdus: pdus.map(toJson), txnId: 'same' })
    const [one, two] = await Promise.all([send([event]), send([event])])
    expect(one.json).to.deep.equal(two.json)
    await server.restart()
    expect((await send([])).json).to.deep.equal(one.json)
  })

  it('are heard of no server that the room does not allow', async () => {
    const room = await roomOf('12')
    await alice.sendState(room.roomId, 'm.room.server_acl', '', { allow: ['*'], deny: ['fake.test'] })
    const [event] = room.say(CAROL, 'x') as [Event]
    const results = await room.tell('a.test', event)
    expect(results[event.eventId]).to.have.property('error')
    for (const request of [
      `/state/${room.roomId}?event_id=${event.eventId}`,
      `/state_ids/${room.roomId}?event_id=${event.eventId}`,
      `/backfill/${room.roomId}?v=${event.eventId}&limit=1`,
      `/event_auth/${room.roomId}/${event.eventId}`,
    ]) {
      const reply = await fake.send('a.test', { path: `/_matrix/federation/v1${request}` })
      expect(reply.status, request).to.equal(403)
      expect(reply.json['errcode']).to.equal('M_FORBIDDEN')
    }
  })

  it('that waited when the server stopped are dealt with after its start', async () => {
    const room = await roomOf('12')
    const said = room.say(CAROL, 'a', 'b', 'c', 'd')
    await room.tell('a.test', ...said)
    await server.restart()
    alice = await server.login('@alice:a.test')
    await mustSee(room, said[3]!)
  })

  it('are redacted by redactions that come before or after them', async () => {
    for (const version of ['10', '12']) {
      const room = await roomOf(version)
      const [known] = room.ends as [Event]
      const [target] = room.say(CAROL, 'secret') as [Event]
      const redaction = room.make({
        type: 'm.room.redaction',
        sender: CAROL,
        content: { redacts: target.eventId },
        after: [known],
      })
      // Until there is something to redact, nobody sees it.
      await room.tell('a.test', redaction)
      await sentinel(room, redaction)
      expect(await statusOf(room, redaction)).to.equal(404)
      await room.tell('a.test', target)
      await mustSee(room, target)
      expect(await statusOf(room, redaction)).to.equal(200)
      const shown = await alice.must(
        'GET',
        path`/_matrix/client/v3/rooms/${room.roomId}/event/${target.eventId}`,
      )
      expect(shown['content']).to.deep.equal({})
    }
  })
})
