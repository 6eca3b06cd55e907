import { expect } from 'chai'
import type { MatrixError } from '../../../../src/protocol/errors.js'
import type { EventId, RoomId } from '../../../../src/protocol/ids.js'
import { forEachDatabase } from '../../../support/databases.js'
import {
  ALICE,
  BOB,
  createEventFixture,
  createRoom,
  deviceOf,
  joinOf,
  type EventFixture,
} from '../../../support/event-services.js'
import { versions } from '../../../support/auth-room.js'
import { rejection } from '../../../support/rejection.js'

const message = (body: string): { type: string; content: { body: string; msgtype: string } } => ({
  type: 'm.room.message',
  content: { body, msgtype: 'm.text' },
})

/** All at once; where commits are quick, half of what waits each time: 30, 15, 8, 4 and 3. */
function commitsOfSixty({ db }: EventFixture): number {
  return db.dialect.commitsQuickly ? 5 : 2
}

forEachDatabase('EventSender', (open) => {
  let fixture: EventFixture
  beforeEach(async () => {
    fixture = await createEventFixture(await open())
  })

  function say(roomId: RoomId, body: string, userId = ALICE): Promise<EventId> {
    return fixture.sender.send({ userId }, { roomId, ...message(body) })
  }

  /** The types of all state keys that have been given names. */
  async function namedKeys(): Promise<string[]> {
    const rows = await fixture.db.reader.all<{ type: string }>('SELECT type FROM state_keys')
    return rows.map(({ type }) => type)
  }

  for (const version of versions(1, 12)) {
    it(`creates a room of version ${version}, and people talk in it`, async () => {
      const roomId = await createRoom(fixture, { version })
      await fixture.sender.send({ userId: BOB }, { roomId, ...joinOf(BOB) })
      const eventId = await say(roomId, 'hello', BOB)
      const timeline = await fixture.timeline(roomId)
      expect(timeline.map(({ event }) => event.type)).to.deep.equal([
        'm.room.create',
        'm.room.member',
        'm.room.power_levels',
        'm.room.join_rules',
        'm.room.member',
        'm.room.message',
      ])
      expect(timeline.map(({ event }) => event.depth)).to.deep.equal([1, 2, 3, 4, 5, 6])
      for (const [index, { event }] of timeline.entries()) {
        expect(event.prevEventIds).to.deep.equal(index === 0 ? [] : [timeline[index - 1]!.event.eventId])
      }
      expect(timeline.at(-1)!.event.eventId).to.equal(eventId)
      expect(roomId).to.match(version === '12' ? /^![A-Za-z0-9_-]{43}$/ : /^![A-Za-z]{18}:hs\.test$/)
      const create = timeline[0]!.event
      const listed = timeline.at(-1)!.event.authEventIds
      expect(listed.includes(create.eventId)).to.equal(version !== '12')
      expect(listed).to.have.length(version === '12' ? 2 : 3)
    })
  }

  it('writes the flat tables of what has happened', async () => {
    const roomId = await createRoom(fixture)
    const join = await fixture.sender.send({ userId: BOB }, { roomId, ...joinOf(BOB) })
    const state = await fixture.currentState(roomId)
    expect(state[`m.room.member/${BOB}`]).to.equal(join)
    expect(Object.keys(state)).to.have.length(5)
    const row = await fixture.db.reader.first<{ joined_members: number }>('SELECT joined_members FROM rooms')
    expect(row?.joined_members).to.equal(2)
    const member = await fixture.roomState.getMembership(roomId, BOB)
    expect(member).to.include({ membership: 'join', isLocal: true, sender: BOB })
    await fixture.sender.send({ userId: BOB }, { roomId, ...joinOf(BOB), content: { membership: 'leave' } })
    expect((await fixture.roomState.getMembership(roomId, BOB))?.membership).to.equal('leave')
    const after = await fixture.db.reader.first<{ joined_members: number }>(
      'SELECT joined_members FROM rooms',
    )
    expect(after?.joined_members).to.equal(1)
  })

  it('refuses what the rules refuse, and leaves no trace of it', async () => {
    const roomId = await createRoom(fixture)
    for (const draft of [message('x'), { type: 'm.room.topic', stateKey: '', content: { topic: 'x' } }]) {
      const error = (await rejection(
        fixture.sender.send({ userId: BOB }, { roomId, ...draft }),
      )) as MatrixError
      expect(error.errcode).to.equal('M_FORBIDDEN')
    }
    expect(await fixture.timeline(roomId)).to.have.length(4)
    expect(await namedKeys()).to.not.include('m.room.topic')
    await say(roomId, 'still here')
    const unknown = '!unknown:hs.test' as RoomId
    expect(await rejection(say(unknown, 'x'))).to.include({ errcode: 'M_NOT_FOUND' })
  })

  it('refuses a type or state key that cannot be stored', async () => {
    const roomId = await createRoom(fixture)
    for (const draft of [
      { type: 'x\u0000y', stateKey: '', content: {} },
      { type: 'x', stateKey: 'a\u0000b', content: {} },
      { type: 'x', stateKey: 'a\ud800', content: {} },
      { type: 'x', stateKey: '', content: { a: '\udc00' } },
      { type: 'm.room.member', stateKey: '@a\u0000b:hs.test', content: { membership: 'invite' } },
    ]) {
      const error = (await rejection(
        fixture.sender.send({ userId: ALICE }, { roomId, ...draft }),
      )) as MatrixError
      expect(error.errcode).to.equal('M_BAD_JSON')
    }
    const long = { type: 'ä'.repeat(128), stateKey: '', content: {} }
    expect(await rejection(fixture.sender.send({ userId: ALICE }, { roomId, ...long }))).to.include({
      errcode: 'M_TOO_LARGE',
    })
  })

  it('takes content that names what cannot be stored', async () => {
    const roomId = await createRoom(fixture)
    const odd = ['@a\u0000:hs.test', '', 'x', '@b:hs.test']
    await fixture.sender.send(
      { userId: ALICE },
      {
        roomId,
        ...message('x'),
        content: {
          msgtype: 'm.text',
          body: 'a\u0000b',
          'm.mentions': { user_ids: odd },
          'm.relates_to': { rel_type: 'm.thread\u0000', event_id: '$a\u0000' },
        },
      },
    )
    const invite = { membership: 'invite', third_party_invite: { signed: { mxid: BOB, token: 'a\u0000' } } }
    const draft = { type: 'm.room.member', stateKey: BOB, content: invite }
    expect(await rejection(fixture.sender.send({ userId: ALICE }, { roomId, ...draft }))).to.include({
      errcode: 'M_FORBIDDEN',
    })
    const redaction = { type: 'm.room.redaction', content: { redacts: '$a\u0000' } }
    expect(await rejection(fixture.sender.send({ userId: ALICE }, { roomId, ...redaction }))).to.include({
      errcode: 'M_BAD_JSON',
    })
  })

  it('does not send an identical piece of state again', async () => {
    const roomId = await createRoom(fixture)
    const topic = { type: 'm.room.topic', stateKey: '', content: { topic: 'x', more: { a: [1], b: null } } }
    const first = await fixture.sender.send({ userId: ALICE }, { roomId, ...topic })
    const reordered = { ...topic, content: { more: { b: null, a: [1] }, topic: 'x' } }
    expect(await fixture.sender.send({ userId: ALICE }, { roomId, ...reordered })).to.equal(first)
    const other = { ...topic, content: { topic: 'x', more: { a: [1], b: 0 } } }
    expect(await fixture.sender.send({ userId: ALICE }, { roomId, ...other })).not.to.equal(first)
    expect(await fixture.timeline(roomId)).to.have.length(6)
  })

  it('keeps one line where many send at once, and shares commits', async () => {
    const roomId = await createRoom(fixture)
    await fixture.sender.send({ userId: BOB }, { roomId, ...joinOf(BOB) })
    fixture.counts.transactions = 0
    const sent = await Promise.all(
      Array.from({ length: 60 }, (_, index) => say(roomId, String(index), index % 2 === 0 ? ALICE : BOB)),
    )
    expect(new Set(sent).size).to.equal(60)
    expect(fixture.counts.transactions).to.be.at.most(commitsOfSixty(fixture))
    const timeline = await fixture.timeline(roomId)
    for (const [index, { event, streamOrdering }] of timeline.entries()) {
      if (index === 0) continue
      const previous = timeline[index - 1]!
      expect(event.prevEventIds).to.deep.equal([previous.event.eventId])
      expect(streamOrdering).to.be.above(previous.streamOrdering!)
    }
    // In the order in which they came.
    expect(timeline.slice(-60).map(({ event }) => event.eventId)).to.deep.equal(sent)
  })

  it('commits events of many rooms together', async () => {
    const rooms: RoomId[] = []
    for (let index = 0; index < 20; index++) rooms.push(await createRoom(fixture))
    fixture.counts.transactions = 0
    await Promise.all(rooms.flatMap((roomId) => ['a', 'b', 'c'].map((body) => say(roomId, body))))
    expect(fixture.counts.transactions).to.be.at.most(commitsOfSixty(fixture))
    for (const roomId of rooms) {
      const bodies = (await fixture.timeline(roomId)).slice(-3).map(({ event }) => event.content['body'])
      expect(bodies).to.deep.equal(['a', 'b', 'c'])
    }
  })

  it('takes state that others at the same time build on', async () => {
    await fixture.sender.send({ userId: BOB }, { roomId: await createRoom(fixture), ...joinOf(BOB) })
    const roomId = await createRoom(fixture)
    const joined = fixture.sender.send({ userId: BOB }, { roomId, ...joinOf(BOB) })
    const said = say(roomId, 'hello', BOB)
    const kick = { ...joinOf(BOB), content: { membership: 'leave' } }
    const kicked = fixture.sender.send({ userId: ALICE }, { roomId, ...kick })
    const late = rejection(say(roomId, 'too late', BOB))
    await Promise.all([joined, said, kicked])
    expect(await late).to.include({ errcode: 'M_FORBIDDEN' })
    const types = (await fixture.timeline(roomId)).slice(-3).map(({ event }) => event.type)
    expect(types).to.deep.equal(['m.room.member', 'm.room.message', 'm.room.member'])
  })

  it('sends a batch whole or not at all', async () => {
    const roomId = await createRoom(fixture)
    const topic = { type: 'm.room.topic', stateKey: '', content: { topic: 'x' } }
    const refused = { ...joinOf(BOB), sender: ALICE }
    const error = await rejection(fixture.sender.sendBatch({ userId: ALICE }, roomId, [topic, refused]))
    expect(error).to.include({ errcode: 'M_FORBIDDEN' })
    expect(await fixture.timeline(roomId)).to.have.length(4)
    const ids = await fixture.sender.sendBatch({ userId: ALICE }, roomId, [topic, message('y')])
    expect((await fixture.timeline(roomId)).slice(-2).map(({ event }) => event.eventId)).to.deep.equal(ids)
  })

  it('makes nothing of a room whose events are refused', async () => {
    const error = await rejection(createRoom(fixture, { drafts: [{ ...joinOf(BOB) }] }))
    expect(error).to.include({ errcode: 'M_FORBIDDEN' })
    expect(await fixture.db.reader.all('SELECT 1 FROM rooms')).to.deep.equal([])
    expect(await fixture.db.reader.all('SELECT 1 FROM events')).to.deep.equal([])
    expect(await namedKeys()).to.deep.equal([])
    await createRoom(fixture)
  })

  it('goes on from where another process has ended', async () => {
    const roomId = await createRoom(fixture)
    await say(roomId, 'before')
    const restarted = await fixture.restart()
    await restarted.sender.send({ userId: BOB }, { roomId, ...joinOf(BOB) })
    const timeline = await restarted.timeline(roomId)
    expect(timeline.at(-1)!.event.prevEventIds).to.deep.equal([timeline.at(-2)!.event.eventId])
    expect(Object.keys(await restarted.currentState(roomId))).to.include(`m.room.member/${BOB}`)
  })

  it('tells readers of rooms and people once their events can be read', async () => {
    const roomId = await createRoom(fixture)
    fixture.positions.length = 0
    await fixture.sender.send({ userId: BOB }, { roomId, ...joinOf(BOB) })
    expect(fixture.positions).to.deep.equal([{ rooms: [roomId], users: [BOB] }])
    const [last] = (await fixture.timeline(roomId)).slice(-1)
    expect(fixture.eventStream.position()).to.equal(last!.streamOrdering)
  })

  it('asks little of the database for a message, and as little in a room with many members', async () => {
    const roomId = await createRoom(fixture)
    await say(roomId, 'warm')
    const cost = async (): Promise<typeof fixture.counts> => {
      Object.assign(fixture.counts, { reads: 0, transactions: 0, writes: 0 })
      await fixture.sender.send(deviceOf(ALICE), { roomId, ...message('x'), txnId: String(Math.random()) })
      return { ...fixture.counts }
    }
    await cost()
    const alone = await cost()
    expect(alone.reads).to.equal(0)
    expect(alone.transactions).to.equal(1)
    expect(alone.writes).to.be.at.most(7)
    const members = Array.from({ length: 60 }, (_, index) => joinOf(`@user${index}:hs.test` as typeof BOB))
    for (const join of members) {
      await fixture.sender.send({ userId: join.stateKey as typeof BOB }, { roomId, ...join })
    }
    const snapshots = (): Promise<unknown[]> => fixture.db.reader.all('SELECT 1 FROM state_snapshots')
    const before = await snapshots()
    expect(await cost()).to.deep.equal(alone)
    // Nor does it store any state.
    expect(await snapshots()).to.have.length(before.length)
    const [last, next] = (await fixture.timeline(roomId)).slice(-2)
    expect(next).to.include({ stateBefore: last!.stateAfter, stateAfter: last!.stateAfter })
  }).timeout(60_000)

  it('asks little of the database for a new room', async () => {
    await createRoom(fixture)
    Object.assign(fixture.counts, { reads: 0, transactions: 0, writes: 0 })
    const drafts = ['a', 'b', 'c', 'd', 'e', 'f'].map((type) => ({
      type: `org.${type}`,
      stateKey: '',
      content: {},
    }))
    await createRoom(fixture, { drafts })
    expect(fixture.counts.reads).to.be.at.most(2)
    // One for the new state keys, one for the room.
    expect(fixture.counts.transactions).to.equal(2)
    expect(fixture.counts.writes).to.be.at.most(16)
  })

  it('answers the same transaction with the same event', async () => {
    const roomId = await createRoom(fixture)
    const device = deviceOf(ALICE)
    const sends = ['t1', 't1', 't1'].map((txnId) =>
      fixture.sender.send(device, { roomId, ...message('x'), txnId }),
    )
    const [first, ...others] = await Promise.all(sends)
    expect(others).to.deep.equal([first, first])
    const restarted = await fixture.restart()
    expect(await restarted.sender.send(device, { roomId, ...message('x'), txnId: 't1' })).to.equal(first)
    expect(await restarted.timeline(roomId)).to.have.length(5)
  })

  it('lets be done beforehand what an event names, and does not send it where that fails', async () => {
    const roomId = await createRoom(fixture)
    const before = (await fixture.timeline(roomId)).length
    const fail = (): Promise<void> => Promise.reject(new Error('no successor'))
    const attempt = fixture.sender.send({ userId: ALICE }, { roomId, ...message('x'), beforehand: fail })
    expect(await rejection(attempt)).to.have.property('message', 'no successor')
    expect(await fixture.timeline(roomId)).to.have.length(before)
    const told: EventId[] = []
    const eventId = await fixture.sender.send(
      { userId: ALICE },
      {
        roomId,
        ...message('y'),
        beforehand: async (announced) => {
          expect(await fixture.timeline(roomId)).to.have.length(before)
          told.push(announced)
        },
      },
    )
    expect(told).to.deep.equal([eventId])
    expect((await fixture.timeline(roomId)).at(-1)!.event.eventId).to.equal(eventId)
    const never = fixture.sender.send(
      { userId: BOB },
      { roomId, ...message('z'), beforehand: () => Promise.resolve(void told.push(eventId)) },
    )
    expect(await rejection(never)).to.have.property('errcode', 'M_FORBIDDEN')
    expect(told).to.have.length(1)
  })
})
