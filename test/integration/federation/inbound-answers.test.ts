import { expect } from 'chai'
import type { Event } from '../../../src/protocol/event.js'
import type { JsonObject } from '../../../src/util/json.js'
import type { FakeHomeserver } from '../../support/fake-homeserver.js'
import { FakeRoom } from '../../support/fake-room.js'
import { startFederation, type TestFederation } from '../../support/federation.js'
import { eventsAt, path, type MatrixClient } from '../../support/matrix-client.js'

const CAROL = '@carol:fake.test'
const VERSIONS = ['1', '6', '11', '12']

describe('What other servers are told of rooms', () => {
  let servers: TestFederation
  let fake: FakeHomeserver
  let alice: MatrixClient

  before(async () => {
    servers = await startFederation(['a.test'])
    fake = await servers.fake('fake.test')
    alice = await servers.get('a.test').register('alice')
  })
  after(() => servers[Symbol.asyncDispose]())

  const v1 = '/_matrix/federation/v1'
  async function ask(target: string, body?: JsonObject): Promise<JsonObject> {
    const reply = await fake.send('a.test', {
      method: body ? 'POST' : 'GET',
      path: target,
      ...(body && { body }),
    })
    expect(reply.status, reply.text).to.equal(200)
    return reply.json
  }
  const idsOf = (room: FakeRoom, list: readonly JsonObject[]): string[] => {
    const known = new Map([...room.events].map(([id, event]) => [JSON.stringify(event.json['hashes']), id]))
    return list.map(
      (pdu) => known.get(JSON.stringify(pdu['hashes'])) ?? `unknown ${JSON.stringify(pdu['type'])}`,
    )
  }
  async function roomOf(version: string, visibility?: string): Promise<{ room: FakeRoom; message: string }> {
    const roomId = await alice.createRoom({ preset: 'public_chat', room_version: version })
    if (visibility) {
      await alice.sendState(roomId, 'm.room.history_visibility', '', { history_visibility: visibility })
    }
    const message = await alice.sendText(roomId, 'before')
    return { room: await FakeRoom.join(fake, 'a.test', { roomId, version, userId: CAROL }), message }
  }

  for (const version of VERSIONS) {
    it(`is the auth chain of events and nothing else, in version ${version}`, async () => {
      const { room } = await roomOf(version)
      const first = room.current('m.room.member', CAROL)
      const leave = room.send({
        type: 'm.room.member',
        sender: CAROL,
        stateKey: CAROL,
        content: { membership: 'leave' },
      })
      await room.tell('a.test', leave)
      const second = await room.joinThrough('a.test', CAROL)
      const rules = await alice.sendState(room.roomId, 'm.room.join_rules', '', { join_rule: 'invite' })
      const chainOf = async (eventId: string): Promise<string[]> => {
        const answer = await ask(path`/_matrix/federation/v1/event_auth/${room.roomId}/${eventId}`)
        return idsOf(room, eventsAt(answer, 'auth_chain'))
      }
      const create = room.current('m.room.create').eventId
      const listed = second.authEventIds.includes(create) ? [] : [create]
      const expected = new Set([...listed, ...second.authEventIds, first.eventId, leave.eventId])
      for (const id of expected) for (const next of room.events.get(id)!.authEventIds) expected.add(next)
      expect(await chainOf(second.eventId)).to.have.members([...expected])
      const pdu = eventsAt(await ask(path`/_matrix/federation/v1/event/${rules}`), 'pdus')[0]!
      const authEvents = (pdu['auth_events'] as (string | [string])[]).map((id) =>
        typeof id === 'string' ? id : id[0],
      )
      expect(await chainOf(rules)).to.have.members([...listed, ...authEvents])
    })

    it(`is the state before an event, in version ${version}`, async () => {
      const { room } = await roomOf(version)
      const join = room.current('m.room.member', CAROL)
      const target = path`/_matrix/federation/v1/state_ids/${room.roomId}?event_id=${join.eventId}`
      const ids = await ask(target)
      const whole = await ask(path`/_matrix/federation/v1/state/${room.roomId}?event_id=${join.eventId}`)
      expect(idsOf(room, eventsAt(whole, 'pdus'))).to.have.members(ids['pdu_ids'] as string[])
      expect(idsOf(room, eventsAt(whole, 'auth_chain'))).to.have.members(ids['auth_chain_ids'] as string[])
      expect(ids['pdu_ids']).to.include(room.current('m.room.create').eventId)
      expect(ids['pdu_ids']).not.to.include(join.eventId)
    })
  }

  for (const visibility of ['world_readable', 'shared', 'invited', 'joined']) {
    it(`is the history before them where it is ${visibility}, redacted where it is not theirs`, async () => {
      const { room } = await roomOf('12', visibility)
      const answer = await ask(path`/_matrix/federation/v1/get_missing_events/${room.roomId}`, {
        earliest_events: [room.current('m.room.create').eventId],
        latest_events: [room.current('m.room.member', CAROL).eventId],
        limit: 10,
        min_depth: 1,
      })
      const events = eventsAt(answer, 'events')
      expect(events.map(({ depth }) => depth)).to.deep.equal(events.map(({ depth }) => depth).sort(byNumber))
      expect(events[0]).to.include({ type: 'm.room.member', state_key: '@alice:a.test' })
      const last = events.at(-1)!
      expect(last['type']).to.equal('m.room.message')
      const isOpen = visibility === 'shared' || visibility === 'world_readable'
      expect(last['content']).to.deep.equal(isOpen ? { msgtype: 'm.text', body: 'before' } : {})
    })
  }

  it('is the past, the newest first and no more than was asked for', async () => {
    const { room } = await roomOf('12')
    const said = room.say(CAROL, 'a', 'b', 'c')
    await room.tell('a.test', ...said)
    await alice.mustSyncUntil((response) => JSON.stringify(response).includes(said[2]!.eventId))
    const answer = await ask(
      path`/_matrix/federation/v1/backfill/${room.roomId}?v=${said[2]!.eventId}&limit=4`,
    )
    expect(answer).to.include({ origin: 'a.test' })
    const pdus = eventsAt(answer, 'pdus')
    expect(idsOf(room, pdus)).to.deep.equal(
      [...said, room.current('m.room.member', CAROL)]
        .sort((x, y) => y.depth - x.depth)
        .map(({ eventId }) => eventId),
    )
    const all = await ask(
      path`/_matrix/federation/v1/backfill/${room.roomId}?v=${said[2]!.eventId}&limit=1000`,
    )
    expect(JSON.stringify(all)).to.include('before')
  })

  it('is an event closest to a time', async () => {
    const { room } = await roomOf('12')
    const [event] = room.say(CAROL, 'x') as [Event]
    await room.tell('a.test', event)
    await alice.mustSyncUntil((response) => JSON.stringify(response).includes(event.eventId))
    const at = (ts: number, dir: string): string =>
      path`/_matrix/federation/v1/timestamp_to_event/${room.roomId}` + `?ts=${ts}&dir=${dir}`
    expect(await ask(at(event.originServerTs, 'f'))).to.deep.equal({
      event_id: event.eventId,
      origin_server_ts: event.originServerTs,
    })
    expect(await ask(at(event.originServerTs + 1000, 'b'))).to.include({ event_id: event.eventId })
    const none = await fake.send('a.test', { path: at(event.originServerTs + 1000, 'f') })
    expect([none.status, none.json['errcode']]).to.deep.equal([404, 'M_NOT_FOUND'])
  })

  it('is nothing for servers that are not in the room', async () => {
    const { room, message } = await roomOf('12')
    const other = await servers.fake('other.test')
    for (const target of [
      `/state/${room.roomId}?event_id=${message}`,
      `/state_ids/${room.roomId}?event_id=${message}`,
      `/backfill/${room.roomId}?v=${message}&limit=1`,
      `/event_auth/${room.roomId}/${message}`,
      `/event/${message}`,
      `/timestamp_to_event/${room.roomId}?ts=1&dir=f`,
    ]) {
      const reply = await other.send('a.test', { path: `${v1}${target}` })
      expect([reply.status, reply.json['errcode']], target).to.deep.equal([403, 'M_FORBIDDEN'])
    }
    const missing = await other.send('a.test', {
      method: 'POST',
      path: `${v1}/get_missing_events/${room.roomId}`,
      body: { earliest_events: [], latest_events: [message], limit: 10 },
    })
    expect(missing.status).to.equal(403)
    for (const [target, status] of [
      ['/event/$unknown', 404],
      [`/event_auth/${room.roomId}/$unknown`, 404],
      [`/state/${room.roomId}?event_id=$unknown`, 404],
      ['/state/!unknown:a.test?event_id=$unknown', 404],
      [`/state/${room.roomId}`, 400],
      [`/backfill/${room.roomId}?v=$unknown&limit=0`, 400],
      [`/timestamp_to_event/${room.roomId}?ts=x`, 400],
    ] as const) {
      expect((await fake.send('a.test', { path: `${v1}${target}` })).status, target).to.equal(status)
    }
  })
})

const byNumber = (a: unknown, b: unknown): number => Number(a) - Number(b)
