import { expect } from 'chai'
import { startHomeserver, type TestHomeserver } from '../../../support/homeserver.js'
import { expectAnswer, expectAnswers, type Line } from '../../../support/expected-answers.js'
import { path, type MatrixClient } from '../../../support/matrix-client.js'

const V3 = '/_matrix/client/v3'
const V1 = '/_matrix/client/v1'
const FORBIDDEN = [403, 'M_FORBIDDEN'] as const
const NOT_FOUND = [404, 'M_NOT_FOUND'] as const
const UNKNOWN_ROOM = '!unknown:hs.test'

describe('answers about rooms', () => {
  let hs: TestHomeserver
  /** Made the room; is in it; is not. */
  let alice: MatrixClient
  let bob: MatrixClient
  let eve: MatrixClient
  let roomId: string
  let eventId: string

  before(async () => {
    hs = await startHomeserver({ config: { room_list_publication_rules: [{ action: 'allow' }] } })
    alice = await hs.register('alice')
    bob = await hs.register('bob')
    eve = await hs.register('eve')
  })
  after(() => hs[Symbol.asyncDispose]())
  beforeEach(async () => {
    roomId = await alice.createRoom({ invite: [bob.userId] })
    await bob.join(roomId)
    eventId = await alice.sendText(roomId, 'Hello')
  })

  const inRoom = (rest: string, room = roomId): string => `${path`/_matrix/client/v3/rooms/${room}/`}${rest}`

  it('let those act upon others who have the power to', async () => {
    const [kick, ban, unban, invite] = ['kick', 'ban', 'unban', 'invite'].map((act) => `POST ${inRoom(act)}`)
    const carol = await hs.register('carol')
    await alice.invite(roomId, carol.userId)
    await carol.join(roomId)
    await alice.sendState(roomId, 'm.room.power_levels', '', { invite: 50 })
    const target = { user_id: carol.userId }
    for (const client of [bob, eve])
      await expectAnswers([
        [client, kick!, FORBIDDEN, target],
        [client, ban!, FORBIDDEN, target],
        [client, invite!, FORBIDDEN, { user_id: '@dora:hs.test' }],
      ])
    await expectAnswers([
      [bob, ban!, FORBIDDEN, { user_id: alice.userId }],
      [alice, kick!, 200, target],
      [alice, ban!, 200, target],
      [bob, unban!, FORBIDDEN, target],
      [eve, unban!, FORBIDDEN, target],
      [carol, `POST ${inRoom('join')}`, FORBIDDEN, {}],
      [carol, `POST ${V3}/join/${encodeURIComponent(roomId)}`, FORBIDDEN, {}],
      [alice, invite!, [403, 'M_BAD_STATE'], target],
      [alice, unban!, 200, target],
      [alice, invite!, FORBIDDEN, { user_id: bob.userId }],
      [alice, invite!, 200, target],
      [alice, invite!, [400, 'M_INVALID_PARAM'], { user_id: 'carol' }],
    ])
    await expectAnswer(alice, invite!, [400, 'M_NOT_JSON'], { rawBody: '{"user_id"' })
  })

  it('let in whom the room lets in', async () => {
    const join = (client: MatrixClient, room: string, expected: Line[2]): Line[] => [
      [client, `POST ${inRoom('join', room)}`, expected, {}],
      [client, `POST ${V3}/join/${encodeURIComponent(room)}`, expected, {}],
    ]
    const open = await alice.createRoom({ preset: 'public_chat' })
    const knocked = await alice.createRoom({
      initial_state: [{ type: 'm.room.join_rules', content: { join_rule: 'knock' } }],
    })
    const knock = (room: string): string => `POST ${V3}/knock/${encodeURIComponent(room)}`
    await expectAnswers([
      ...join(eve, roomId, FORBIDDEN),
      ...join(eve, open, 200),
      [eve, knock(roomId), FORBIDDEN, {}],
      [eve, knock(knocked), 200, {}],
      [eve, knock('#nowhere:hs.test'), NOT_FOUND, {}],
      [eve, `POST ${inRoom('leave', open)}`, 200, {}],
      [eve, `POST ${inRoom('leave')}`, FORBIDDEN, {}],
      [eve, `POST ${inRoom('forget', open)}`, 200, {}],
      [bob, `POST ${inRoom('forget')}`, [400, 'M_UNKNOWN'], {}],
    ])
  })

  it('show what happens in a room to those who are in it', async () => {
    const event = encodeURIComponent(eventId)
    const reads: string[] = [
      inRoom(`event/${event}`),
      inRoom(`context/${event}`),
      inRoom('messages?dir=b'),
      inRoom('state'),
      inRoom('state/m.room.create/'),
      inRoom('members'),
      inRoom('joined_members'),
      inRoom('aliases'),
      inRoom('initialSync'),
      `${V1}${inRoom(`relations/${event}`).slice(V3.length)}`,
      `${V1}${inRoom(`relations/${event}/m.thread`).slice(V3.length)}`,
      `${V1}${inRoom(`relations/${event}/m.thread/m.room.message`).slice(V3.length)}`,
      `${V1}${inRoom('threads').slice(V3.length)}`,
      `${V1}${inRoom('hierarchy').slice(V3.length)}`,
      `${V1}${inRoom('timestamp_to_event?ts=0&dir=f').slice(V3.length)}`,
      `${V3}/events/${event}`,
    ]
    for (const target of reads) {
      await expectAnswer(bob, `GET ${target}`, 200)
      const refused = await eve.request('GET', target)
      expect(refused.status, `${target}: ${refused.text}`).to.be.oneOf([403, 404])
      expect(refused.text).to.not.include('Hello')
      await expectAnswer(hs.client(), `GET ${target}`, [401, 'M_MISSING_TOKEN'])
    }
    await expectAnswers([
      [eve, `GET ${inRoom('state')}`, FORBIDDEN],
      [eve, `GET ${inRoom('state/m.room.create/')}`, FORBIDDEN],
      [eve, `GET ${inRoom('members')}`, FORBIDDEN],
      [eve, `GET ${inRoom('joined_members')}`, FORBIDDEN],
      [eve, `GET ${inRoom('initialSync')}`, FORBIDDEN],
      [eve, `GET ${inRoom('messages?dir=b')}`, FORBIDDEN],
      [eve, `GET ${inRoom(`event/${event}`)}`, NOT_FOUND],
      [bob, `GET ${inRoom('event/$unknown')}`, NOT_FOUND],
      [bob, `GET ${inRoom('state/org.example.unknown/')}`, NOT_FOUND],
      [eve, `GET ${V3}/events/${event}`, NOT_FOUND],
      [bob, `GET ${V3}/events?from=nowhere`, [400, 'M_INVALID_PARAM']],
    ])
  })

  it('know relations of what is there', async () => {
    const related = (rest: string): string => `${V1}${inRoom(`relations/${rest}`).slice(V3.length)}`
    for (const rest of ['', '/m.thread', '/m.thread/m.room.message'])
      await expectAnswers([
        [bob, `GET ${related(`%24unknown${rest}`)}`, NOT_FOUND],
        [eve, `GET ${related(`${encodeURIComponent(eventId)}${rest}`)}`, NOT_FOUND],
      ])
    const reaction = { 'm.relates_to': { rel_type: 'm.annotation', event_id: eventId, key: '👍' } }
    await expectAnswers([
      [bob, `PUT ${inRoom('send/m.reaction/one')}`, 200, reaction],
      [bob, `PUT ${inRoom('send/m.reaction/two')}`, [400, 'M_DUPLICATE_ANNOTATION'], reaction],
      [alice, `PUT ${inRoom('send/m.reaction/one')}`, 200, reaction],
      [eve, `PUT ${inRoom('send/m.reaction/one')}`, FORBIDDEN, reaction],
    ])
  })

  it('let those change a room who have the power to', async () => {
    const name = `PUT ${inRoom('state/m.room.name/')}`
    await expectAnswers([
      [alice, name, 200, { name: 'Tea' }],
      [bob, name, FORBIDDEN, { name: 'Coffee' }],
      [eve, name, FORBIDDEN, { name: 'Coffee' }],
      [
        alice,
        `PUT ${inRoom('state/m.room.canonical_alias/')}`,
        [400, 'M_BAD_ALIAS'],
        { alias: '#nowhere:hs.test' },
      ],
      [
        alice,
        `PUT ${inRoom('state/m.room.member/nobody')}`,
        [400, 'M_INVALID_PARAM'],
        { membership: 'invite' },
      ],
      [bob, `PUT ${inRoom(`redact/${encodeURIComponent(eventId)}/a`)}`, FORBIDDEN, {}],
      [alice, `PUT ${inRoom(`redact/${encodeURIComponent(eventId)}/a`)}`, 200, {}],
      [bob, `POST ${inRoom('upgrade')}`, FORBIDDEN, { new_version: '11' }],
      [alice, `POST ${inRoom('upgrade')}`, [400, 'M_UNSUPPORTED_ROOM_VERSION'], { new_version: 'cat' }],
    ])
  })

  it('make rooms of what can be understood', async () => {
    await expectAnswer(alice, `POST ${V3}/createRoom`, [400, 'M_NOT_JSON'], { rawBody: '{' })
    await expectAnswers([
      [alice, `POST ${V3}/createRoom`, [400, 'M_BAD_JSON'], { invite: 'everybody' }],
      [alice, `POST ${V3}/createRoom`, 200, { room_alias_name: 'taken' }],
      [bob, `POST ${V3}/createRoom`, [400, 'M_ROOM_IN_USE'], { room_alias_name: 'taken' }],
    ])
  })

  it('lead by aliases, which belong to those who have made them', async () => {
    const alias = `${V3}/directory/room/${encodeURIComponent('#tea:hs.test')}`
    await expectAnswers([
      [bob, `PUT ${alias}`, 200, { room_id: roomId }],
      [alice, `PUT ${alias}`, [409, 'M_UNKNOWN'], { room_id: roomId }],
      [eve, `GET ${alias}`, 200],
      [eve, `DELETE ${alias}`, FORBIDDEN],
      [
        eve,
        `PUT ${V3}/directory/room/${encodeURIComponent('#mine:hs.test')}`,
        FORBIDDEN,
        { room_id: roomId },
      ],
      [bob, `DELETE ${alias}`, 200],
      [bob, `DELETE ${alias}`, NOT_FOUND],
      [bob, `GET ${alias}`, NOT_FOUND],
      [bob, `GET ${V3}/directory/room/tea`, [400, 'M_INVALID_PARAM']],
      [bob, `PUT ${V3}/directory/room/tea`, [400, 'M_INVALID_PARAM'], { room_id: roomId }],
      [bob, `GET ${inRoom('aliases', 'tea')}`, [400, 'M_INVALID_PARAM']],
    ])
  })

  it('publish rooms of those who have the power to', async () => {
    const listed = (room: string): string => `${V3}/directory/list/room/${encodeURIComponent(room)}`
    await expectAnswers([
      [alice, `PUT ${listed(roomId)}`, 200, { visibility: 'public' }],
      [hs.client(), `GET ${listed(roomId)}`, 200],
      [bob, `PUT ${listed(roomId)}`, FORBIDDEN, { visibility: 'private' }],
      [eve, `PUT ${listed(roomId)}`, FORBIDDEN, { visibility: 'private' }],
      [alice, `GET ${listed(UNKNOWN_ROOM)}`, NOT_FOUND],
      [alice, `PUT ${listed(UNKNOWN_ROOM)}`, NOT_FOUND, { visibility: 'public' }],
    ])
  })

  it('take reports about what those who report can see', async () => {
    const report = (rest: string): string => `POST ${inRoom(rest)}`
    const about = { reason: 'rude' }
    await expectAnswers([
      [bob, report('report'), 200, about],
      [bob, `POST ${inRoom('report', UNKNOWN_ROOM)}`, NOT_FOUND, about],
      [bob, report(`report/${encodeURIComponent(eventId)}`), 200, about],
      [eve, report(`report/${encodeURIComponent(eventId)}`), NOT_FOUND, about],
      [bob, report('report/$unknown'), NOT_FOUND, about],
      [bob, `POST ${V3}/users/${encodeURIComponent(alice.userId)}/report`, 200, about],
      [bob, `POST ${V3}/users/${encodeURIComponent('@nobody:hs.test')}/report`, NOT_FOUND, about],
    ])
  })

  it('tell where people are to those who share a room', async () => {
    const presence = `${V3}/presence/${encodeURIComponent(alice.userId)}/status`
    await expectAnswers([
      [alice, `PUT ${presence}`, 200, { presence: 'online' }],
      [bob, `GET ${presence}`, 200],
      [eve, `GET ${presence}`, FORBIDDEN],
      [bob, `PUT ${presence}`, FORBIDDEN, { presence: 'offline' }],
      [bob, `GET ${V3}/presence/${encodeURIComponent('@nobody:hs.test')}/status`, NOT_FOUND],
    ])
  })
})
