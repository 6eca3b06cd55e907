import type { ServerResponse } from 'node:http'
import { expect } from 'chai'
import type { Event } from '../../../src/protocol/event.js'
import type { JsonObject } from '../../../src/util/json.js'
import type { FakeHomeserver } from '../../support/fake-homeserver.js'
import { startFederation, type TestFederation } from '../../support/federation.js'
import { path, syncTimelineHasEventId, type MatrixClient } from '../../support/matrix-client.js'
import { forge, FakeRoom, toJson } from '../../support/fake-room.js'

const CAROL = '@carol:fake.test'
const V1 = '/_matrix/federation/v1'
const NOT_FOUND = { status: 404, json: { errcode: 'M_NOT_FOUND', error: 'Not found' } }

describe('A server that cannot be trusted', () => {
  let servers: TestFederation
  let fake: FakeHomeserver
  let alice: MatrixClient
  let bob: MatrixClient

  beforeEach(async () => {
    servers = await startFederation(['a.test'])
    fake = await servers.fake('fake.test')
    alice = await servers.get('a.test').register('alice')
    bob = await servers.get('a.test').register('bob')
  })
  afterEach(() => servers[Symbol.asyncDispose]())

  async function roomOf(version: string): Promise<FakeRoom> {
    const roomId = await alice.createRoom({ preset: 'public_chat', room_version: version })
    await bob.join(roomId)
    return (await FakeRoom.join(fake, 'a.test', { roomId, version, userId: CAROL })).serve()
  }
  const mustSee = (room: FakeRoom, event: Event): Promise<string> =>
    bob.mustSyncUntil(syncTimelineHasEventId(room.roomId, event.eventId))
  const statusOf = async (room: FakeRoom, event: Event): Promise<number> =>
    (await bob.request('GET', path`/_matrix/client/v3/rooms/${room.roomId}/event/${event.eventId}`)).status
  /** A message after an event that is held: what was sent before it has been dealt with when it is seen. */
  async function sentinel(room: FakeRoom, after: Event): Promise<void> {
    const event = room.make({ type: 'm.room.message', sender: CAROL, content: { body: 's' }, after: [after] })
    await room.tell('a.test', event)
    await mustSee(room, event)
  }
  const rename = (room: FakeRoom, names: readonly string[]): Event[] =>
    names.map((displayname) =>
      room.send({
        type: 'm.room.member',
        sender: CAROL,
        stateKey: CAROL,
        content: { membership: 'join', displayname },
      }),
    )

  for (const version of ['1', '6', '10', '12']) {
    it(`does not get links of a broken auth chain into the state, in version ${version}`, async () => {
      const room = await roomOf(version)
      const [join] = room.ends as [Event]
      const [, second] = rename(room, ['A', 'B', 'C', 'D', 'E'])
      const [far, near, sent] = room.say(CAROL, 'far', 'near', 'sent') as [Event, Event, Event]
      fake.on('POST', `${V1}/get_missing_events/:roomId`, () => ({ json: { events: [toJson(near)] } }))
      fake.on('GET', `${V1}/state/:roomId`, () => NOT_FOUND)
      fake.on('GET', `${V1}/event_auth/:roomId/:eventId`, () => NOT_FOUND)
      fake.on('GET', `${V1}/event/:eventId`, ({ params }) => {
        const event = room.events.get(params['eventId'] as never)
        return event && event !== second ? { json: { pdus: [toJson(event)] } } : NOT_FOUND
      })
      await room.tell('a.test', sent)
      const asked = await fake.waitFor('GET', `${V1}/state_ids/:roomId`)
      expect(asked.query.get('event_id')).to.equal(far.eventId)
      await fake.waitFor('GET', `${V1}/event/${encodeURIComponent(second!.eventId)}`)
      await sentinel(room, join)
      expect(await bob.state(room.roomId, 'm.room.member', CAROL)).not.to.have.property('displayname')
      expect(await statusOf(room, sent)).to.equal(404)
    })

    // Versions 2 to 11 lose a piece of state that is disputed where those who changed it have left.
    if (version === '6' || version === '10') continue
    it(`does not bring back what has been changed by telling of old state, in version ${version}`, async () => {
      const room = await roomOf(version)
      const old = room.current('m.room.join_rules')
      await alice.sendState(room.roomId, 'm.room.join_rules', '', { join_rule: 'invite' })
      await fake.waitForPdu(
        (pdu) => pdu['type'] === 'm.room.join_rules' && JSON.stringify(pdu).includes('"invite"'),
      )
      await alice.leave(room.roomId)
      await fake.waitForPdu(
        (pdu) => pdu['type'] === 'm.room.member' && JSON.stringify(pdu).includes('"leave"'),
      )
      const pdus = fake.pdus.filter((pdu) => pdu['room_id'] === room.roomId)
      room.learn(...pdus)
      const names = rename(
        room,
        Array.from({ length: 60 }, (_, index) => `Carol ${index}`),
      )
      fake.on('GET', `${V1}/state_ids/:roomId`, ({ query }) => {
        const at = room.events.get(query.get('event_id') as never)!
        const state = [...room.stateBefore(at).values()].filter(
          (id) => room.events.get(id)!.type !== 'm.room.join_rules',
        )
        const chain = room.authChainOf(at)
        return {
          json: { pdu_ids: [...state, old.eventId], auth_chain_ids: chain.map(({ eventId }) => eventId) },
        }
      })
      fake.on('GET', `${V1}/state/:roomId`, () => NOT_FOUND)
      await room.tell('a.test', names.at(-1)!)
      await fake.waitFor('GET', `${V1}/state_ids/:roomId`)
      await mustSee(room, names.at(-1)!)
      // Version 1 looks at depth alone: there, the room is theirs.
      const rules = await bob.state(room.roomId, 'm.room.join_rules')
      if (version !== '1' && version !== '6' && version !== '10')
        expect(rules).to.include({ join_rule: 'invite' })
    })
  }

  it('is not believed when its state is no state of the room', async () => {
    const room = await roomOf('11')
    const other = FakeRoom.create(fake, '11', CAROL)
    const [join] = room.ends as [Event]
    const second = forge(room.rules, { ...toJson(room.current('m.room.create')), sender: CAROL }, fake.signer)
    room.events.set(second.eventId, second)
    for (const event of other.events.values()) room.events.set(event.eventId, event)
    const good = (): string[] => [...room.stateBefore(join).values()]
    const lies: string[][] = [
      [],
      good().filter((id) => id !== room.current('m.room.create').eventId),
      [...good().filter((id) => id !== room.current('m.room.create').eventId), second.eventId],
      [...other.events.keys()],
      [
        ...good(),
        join.eventId,
        room.make({ type: 'm.room.topic', sender: CAROL, stateKey: '', after: [] }).eventId,
      ],
    ]
    for (const lie of lies) {
      const [far, near, sent] = room.say(CAROL, 'far', 'near', 'sent') as [Event, Event, Event]
      far
      fake.on('POST', `${V1}/get_missing_events/:roomId`, () => ({ json: { events: [toJson(near)] } }))
      fake.on('GET', `${V1}/state_ids/:roomId`, () => ({
        json: { pdu_ids: lie, auth_chain_ids: [...other.events.keys()] },
      }))
      fake.on('GET', `${V1}/state/:roomId`, () => NOT_FOUND)
      const asked = fake.received('GET', `${V1}/state_ids/:roomId`).length
      await room.tell('a.test', sent)
      await fake.waitFor(
        'GET',
        `${V1}/state_ids/:roomId`,
        (request) => fake.requests.indexOf(request) >= asked,
      )
      await sentinel(room, join)
      expect(await statusOf(room, sent)).to.equal(404)
    }
    expect(await bob.state(room.roomId, 'm.room.create')).to.deep.equal({ room_version: '11' })
    const members = await bob.must('GET', path`/_matrix/client/v3/rooms/${room.roomId}/joined_members`)
    expect(Object.keys(members['joined'] as JsonObject)).to.have.members([alice.userId, bob.userId, CAROL])
  })

  it('gets nothing across after its user has been banned', async () => {
    const room = await roomOf('12')
    const [join] = room.ends as [Event]
    await alice.ban(room.roomId, CAROL)
    const late = room.make({
      type: 'm.room.message',
      sender: CAROL,
      content: { body: 'late' },
      after: [join],
    })
    const dave = '@dave:fake.test'
    const other = room.make({
      type: 'm.room.member',
      sender: dave,
      stateKey: dave,
      content: { membership: 'join' },
      after: [join],
    })
    await room.tell('a.test', late, other)
    await bob.mustSyncUntil(syncTimelineHasEventId(room.roomId, other.eventId))
    expect(await statusOf(room, late)).to.equal(404)
  })

  it('may answer with anything at all', async () => {
    const room = await roomOf('12')
    const [join] = room.ends as [Event]
    const answers: ((response: ServerResponse) => void)[] = [
      (response) => response.end('no json'),
      (response) => response.end('[]'),
      (response) => response.end('{"events":{}}'),
      (response) => response.end('{"events":[1,null,[],{}]}'),
      (response) => {
        response.writeHead(302, { Location: 'https://fake.test/' })
        response.end()
      },
      (response) => response.end(`{"events":[${'"x",'.repeat(3_000_000)}"x"]}`),
      (response) => response.destroy(),
    ]
    for (const raw of answers) {
      fake.on('POST', `${V1}/get_missing_events/:roomId`, () => ({ raw }))
      const [, sent] = room.say(CAROL, 'missing', 'sent') as [Event, Event]
      await room.tell('a.test', sent)
      await sentinel(room, join)
      expect(await statusOf(room, sent)).to.equal(404)
      room.ends = [join]
    }
  })
})
