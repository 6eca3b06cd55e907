import { expect } from 'chai'
import type { Event } from '../../../../src/protocol/event.js'
import type { EventId, RoomId } from '../../../../src/protocol/ids.js'
import type { StoredEvent } from '../../../../src/storage/stores/events.js'
import { forEachDatabase } from '../../../support/databases.js'
import {
  ALICE,
  BOB,
  CAROL,
  createEventFixture,
  createRoom,
  joinOf,
  RemoteServer,
  type EventFixture,
  type RemoteDraft,
} from '../../../support/event-services.js'

const topic = (sender: RemoteDraft['sender'], text: string, ts = 1): RemoteDraft => ({
  type: 'm.room.topic',
  stateKey: '',
  sender,
  content: { topic: text },
  ts,
})
const message = (sender: RemoteDraft['sender'], body = 'x'): RemoteDraft => ({
  type: 'm.room.message',
  sender,
  content: { body },
})

forEachDatabase('EventReceiver', (open) => {
  let fixture: EventFixture
  let roomId: RoomId
  let remote: RemoteServer
  let root: Event

  async function start(version = '12'): Promise<void> {
    fixture = await createEventFixture(await open())
    roomId = await createRoom(fixture, { version, levels: { users: levels(version) } })
    remote = await RemoteServer.of(fixture, roomId)
    const [last] = (await fixture.timeline(roomId)).slice(-1)
    root = await remote.send([last!.event], { ...joinOf(CAROL), sender: CAROL })
  }
  const levels = (version: string): Record<string, number> => ({
    ...(version !== '12' && { [ALICE]: 100 }),
    [CAROL]: 50,
    [BOB]: 50,
  })
  beforeEach(() => start())

  async function extremities(): Promise<EventId[]> {
    const rows = await fixture.db.reader.all<{ event_id: EventId }>(
      'SELECT e.event_id FROM forward_extremities f JOIN events e ON e.event_nid = f.event_nid ORDER BY e.event_id',
    )
    return rows.map((row) => row.event_id)
  }
  async function stored(event: Event): Promise<StoredEvent> {
    return (await fixture.stores.events.get(fixture.db.reader, event.eventId))!
  }
  const ids = (...events: Event[]): EventId[] => events.map(({ eventId }) => eventId).sort()

  it('takes in events that follow the end of the room', async () => {
    expect(await extremities()).to.deep.equal(ids(root))
    const event = await remote.send([root], message(CAROL))
    expect(await extremities()).to.deep.equal(ids(event))
    const eventId = await fixture.sender.send({ userId: ALICE }, { roomId, ...message(ALICE) })
    const own = await fixture.stores.events.get(fixture.db.reader, eventId)
    expect(own?.event.prevEventIds).to.deep.equal([event.eventId])
    expect((await fixture.roomState.getMembership(roomId, CAROL))?.isLocal).to.be.false
  })

  it('says when it has an event already', async () => {
    const event = await remote.send([root], message(CAROL))
    const [a, b] = await Promise.all([remote.receive(event), remote.receive(event)])
    expect([a.outcome, b.outcome]).to.deep.equal(['known', 'known'])
    const other = await remote.make([event], message(CAROL, 'y'))
    const both = await Promise.all([remote.receive(other), remote.receive(other)])
    expect(both.map(({ outcome }) => outcome)).to.have.members(['accepted', 'known'])
  })

  it('names the events that it lacks, and stores nothing then', async () => {
    const missing = await remote.make([root], message(CAROL, 'missing'))
    const state = await remote.make([root], topic(CAROL, 'missing'))
    const event = await remote.make([missing, root], { ...message(CAROL), authEvents: [state, root] })
    expect(await remote.receive(event)).to.deep.equal({
      outcome: 'missing',
      prevEvents: [missing.eventId],
      authEvents: [state.eventId],
    })
    expect(await fixture.stores.events.get(fixture.db.reader, event.eventId)).to.be.undefined
  })

  it('has two ends where the room branches, and the next event joins them', async () => {
    const left = await remote.send([root], message(CAROL, 'left'))
    const right = await remote.send([root], message(CAROL, 'right'))
    expect(await extremities()).to.deep.equal(ids(left, right))
    const eventId = await fixture.sender.send({ userId: ALICE }, { roomId, ...message(ALICE) })
    const merge = (await fixture.stores.events.get(fixture.db.reader, eventId))!
    expect([...merge.event.prevEventIds].sort()).to.deep.equal(ids(left, right))
    expect(await extremities()).to.deep.equal([eventId])
    // Both branches have the same state: nothing was resolved, nothing stored twice.
    const states = new Set([
      (await stored(left)).stateAfter,
      (await stored(right)).stateAfter,
      merge.stateBefore,
    ])
    expect(states.size).to.equal(1)
  })

  for (const version of ['1', '2', '6', '11', '12']) {
    it(`resolves the state of branches in version ${version}`, async () => {
      await start(version)
      const [early, late] = [topic(CAROL, 'early', 1000), topic(CAROL, 'late', 2000)]
      const left = await remote.send([root], early)
      const right = await remote.send([root], late)
      // Version 1 takes the deepest, and of those the one with the smaller SHA-1.
      const { 'm.room.topic/': current } = await fixture.currentState(roomId)
      if (version === '1') expect([left.eventId, right.eventId]).to.include(current)
      else expect(current).to.equal(right.eventId)
      const eventId = await fixture.sender.send({ userId: ALICE }, { roomId, ...message(ALICE) })
      const merge = (await fixture.stores.events.get(fixture.db.reader, eventId))!
      const held = await fixture.roomState.getStateEventAt(merge.stateBefore!, 'm.room.topic', '')
      expect(held?.event.eventId).to.equal(current)
      // As a process sees it that knows nothing yet.
      const restarted = await fixture.restart()
      await restarted.sender.send({ userId: ALICE }, { roomId, ...message(ALICE) })
      expect((await restarted.currentState(roomId))['m.room.topic/']).to.equal(current)
    })
  }

  it('writes what a resolution changes in the flat tables', async () => {
    await remote.send([root], { ...joinOf(CAROL), sender: CAROL, content: { membership: 'leave' } })
    await fixture.sender.send({ userId: BOB }, { roomId, ...joinOf(BOB) })
    const before = await fixture.currentState(roomId)
    // Alice bans Bob on a branch that began before he came.
    const alice = await RemoteServer.of(fixture, roomId, 'hs.test')
    const ban = await alice.send([root], {
      type: 'm.room.member',
      sender: ALICE,
      stateKey: BOB,
      content: { membership: 'ban' },
      ts: 1,
    })
    const after = await fixture.currentState(roomId)
    expect(after).to.deep.equal({ ...before, [`m.room.member/${BOB}`]: ban.eventId })
    expect((await fixture.roomState.getMembership(roomId, BOB))?.membership).to.equal('ban')
    const counts = await fixture.db.reader.first('SELECT joined_members, invited_members FROM rooms')
    expect(counts).to.deep.equal({ joined_members: 1, invited_members: 0 })
  })

  it('soft-fails what the state at the event allows and the current state does not', async () => {
    const ban = { type: 'm.room.member', stateKey: CAROL, content: { membership: 'ban' } }
    await fixture.sender.send({ userId: ALICE }, { roomId, ...ban })
    const [end] = await extremities()
    const event = await remote.make([root], topic(CAROL, 'too late'))
    expect((await remote.receive(event)).outcome).to.equal('softFailed')
    expect(await extremities()).to.deep.equal([end])
    expect(await fixture.currentState(roomId)).not.to.have.property('m.room.topic/')
    expect(await stored(event)).to.include({ softFailed: true, rejected: null })
    // Others may build on it; it takes part in their state.
    const next = await remote.make([event], message(CAROL))
    expect((await remote.receive(next)).outcome).to.equal('softFailed')
    const held = await fixture.roomState.getStateEventAt(
      (await stored(next)).stateBefore!,
      'm.room.topic',
      '',
    )
    expect(held?.event.eventId).to.equal(event.eventId)
    expect((await remote.receive(event)).outcome).to.equal('known')
  })

  it('rejects what the state at the event does not allow; it takes part in nothing', async () => {
    const event = await remote.make([root], topic(BOB, 'I am not here'))
    const reception = await remote.receive(event)
    expect(reception).to.include({ outcome: 'rejected', reason: '6: The sender is not in the room' })
    expect(await extremities()).to.deep.equal(ids(root))
    const { rejected, stateBefore, stateAfter } = await stored(event)
    expect(rejected).to.equal('6: The sender is not in the room')
    expect(stateAfter).to.equal(stateBefore)
    const next = await remote.send([event], message(CAROL))
    // The root is still an end: what follows a rejected event follows nothing that counts.
    expect(await extremities()).to.deep.equal(ids(root, next))
  })

  it('rejects what its auth events do not allow', async () => {
    const timeline = await fixture.timeline(roomId)
    const [create, alice, power, rules] = timeline.map(({ event }) => event) as [Event, Event, Event, Event]
    const carol = root
    const cases: [string, readonly Event[]][] = [
      ['3.1', [power, carol, carol]],
      ['3.2', [power, carol, rules]],
      ['3.2', [power, carol, create]],
      ['6', [power]],
      ['3.2', [power, alice]],
    ]
    for (const [rule, authEvents] of cases) {
      const event = await remote.make([root], {
        ...message(CAROL, JSON.stringify(authEvents.length)),
        authEvents,
      })
      const reception = await remote.receive(event)
      expect(reception.outcome).to.equal('rejected')
      expect('reason' in reception && reception.reason).to.match(new RegExp(`^${rule}:`))
    }
  })

  it('rejects what a rejected event authorizes', async () => {
    const levelsOfCarol = { users: { [CAROL]: 1000 } }
    const rejectedLevels = await remote.make([root], {
      type: 'm.room.power_levels',
      sender: CAROL,
      stateKey: '',
      content: levelsOfCarol,
    })
    expect((await remote.receive(rejectedLevels)).outcome).to.equal('rejected')
    const event = await remote.make([root], { ...message(CAROL), authEvents: [rejectedLevels, root] })
    expect(await remote.receive(event)).to.include({ outcome: 'rejected' })
    expect((await stored(event)).rejected).to.match(/^3\.3/)
  })

  it('rejects a second create event and events that follow nothing', async () => {
    for (const version of ['11', '12']) {
      await start(version)
      const create = await remote.make([], {
        type: 'm.room.create',
        sender: CAROL,
        stateKey: '',
        content: { room_version: version },
        authEvents: [],
      })
      expect((await remote.receive(create)).outcome).to.equal('rejected')
      const loose = await remote.make([], { ...message(CAROL), authEvents: [] })
      expect((await remote.receive(loose)).outcome).to.equal('rejected')
      expect(await extremities()).to.deep.equal(ids(root))
    }
  })

  it('takes events of our own users at the same time', async () => {
    const made: Event[] = []
    for (let index = 0; index < 10; index++)
      made.push(await remote.make([root], topic(CAROL, String(index), index)))
    const own = Array.from({ length: 10 }, (_, index) =>
      fixture.sender.send({ userId: ALICE }, { roomId, ...message(ALICE, String(index)) }),
    )
    const receptions = await Promise.all(made.map((event) => remote.receive(event)))
    await Promise.all(own)
    expect(new Set(receptions.map(({ outcome }) => outcome))).to.deep.equal(new Set(['accepted']))
    const eventId = await fixture.sender.send({ userId: ALICE }, { roomId, ...message(ALICE, 'last') })
    for (let sent = 0; (await extremities()).length > 1; sent++) {
      if (sent > 3) throw new Error('The ends of the room do not come together')
      await fixture.sender.send({ userId: ALICE }, { roomId, ...message(ALICE, 'join') })
    }
    const last = (await fixture.stores.events.get(fixture.db.reader, eventId))!
    expect(last.event.prevEventIds.length).to.be.at.most(10)
    const current = await fixture.currentState(roomId)
    const end = (await fixture.timeline(roomId)).at(-1)!
    const held = await fixture.roomState.getStateAt(end.stateAfter!)
    expect(Object.values(current).sort()).to.deep.equal(held.map(({ event }) => event.eventId).sort())
    expect(current['m.room.topic/']).to.equal(made[9]!.eventId)
  })

  it('goes on after a commit that fails', async () => {
    fixture.failing.set('persist_events', [true])
    const event = await remote.make([root], topic(CAROL, 'x'))
    const failure = await remote.receive(event).catch((error: unknown) => error)
    expect(failure).to.be.instanceOf(Error)
    expect((await remote.receive(event)).outcome).to.equal('accepted')
    expect((await fixture.currentState(roomId))['m.room.topic/']).to.equal(event.eventId)
  })

  it('applies redactions by people of the same server or with the power to', async () => {
    const target = await remote.send([root], message(CAROL, 'secret'))
    const eventId = await fixture.sender.send({ userId: ALICE }, { roomId, ...message(ALICE, 'secret') })
    const own = (await fixture.stores.events.get(fixture.db.reader, eventId))!.event
    await remote.send([own], {
      type: 'm.room.redaction',
      sender: CAROL,
      content: { redacts: target.eventId },
    })
    expect((await stored(target)).event.content).to.deep.equal({})
    const [end] = (await fixture.timeline(roomId)).slice(-1)
    const other = '@dave:other.test' as typeof CAROL
    const join = await remote.send([end!.event], { ...joinOf(other), sender: other })
    await remote.send([join], { type: 'm.room.redaction', sender: other, content: { redacts: eventId } })
    expect((await stored(own)).event.content).to.have.property('body')
    expect((await stored(own)).redactedBy).to.be.null
  })
  it('applies redactions that come before their target', async () => {
    const target = await remote.make([root], message(CAROL, 'secret'))
    const allowed = { type: 'm.room.redaction', sender: CAROL, content: { redacts: target.eventId } }
    const redaction = await remote.send([root], allowed)
    expect((await remote.receive(target)).outcome).to.equal('accepted')
    const held = await stored(target)
    expect(held.redactedBy).to.equal(redaction.eventId)
    expect(held.event.content).to.deep.equal({})
    const restarted = await fixture.restart()
    const again = await restarted.stores.events.get(restarted.db.reader, target.eventId)
    expect(again?.event.content).to.deep.equal({})
    const rows = await fixture.db.reader.all('SELECT applied FROM redactions')
    expect(rows).to.deep.equal([{ applied: 1 }])
  })

  it('ignores early redactions by those who may not', async () => {
    const dave = '@dave:third.test' as typeof CAROL
    const third = await RemoteServer.of(fixture, roomId, 'third.test')
    const join = await third.send([root], { ...joinOf(dave), sender: dave })
    const target = await remote.make([join], message(CAROL, 'secret'))
    await third.send([join], { type: 'm.room.redaction', sender: dave, content: { redacts: target.eventId } })
    expect((await remote.receive(target)).outcome).to.equal('accepted')
    expect((await stored(target)).event.content).to.deep.equal({ body: 'secret' })
  })

  for (const kind of ['backfilled', 'live'] as const) {
    it(`takes in several events together, up to one that follows what is missing (${kind})`, async () => {
      const first = await remote.make([root], topic(CAROL, 'first', 2))
      const { authEventIds } = first
      const authEvents = await Promise.all(
        authEventIds.map(async (id) => (await fixture.stores.events.get(fixture.db.reader, id))!.event),
      )
      const after = (event: Event, draft: RemoteDraft): Promise<Event> =>
        remote.make([event], { ...draft, authEvents })
      const second = await after(first, topic(CAROL, 'second', 3))
      const third = await after(second, message(CAROL, 'secret'))
      const redaction = await after(third, {
        type: 'm.room.redaction',
        sender: CAROL,
        content: { redacts: third.eventId },
      })
      const unknown = await after(redaction, message(CAROL, 'never sent'))
      const last = await after(unknown, message(CAROL))
      const never = await after(last, message(CAROL))
      const commits = fixture.positions.length
      const room = await fixture.roomState.requireRoom(roomId)
      const receptions = await fixture.receiver.receiveAll(
        room,
        [first, second, third, redaction, last, never].map((event) => ({ event, isUnwanted: false })),
        kind,
      )
      expect(receptions.map(({ outcome }) => outcome)).to.deep.equal([
        ...Array<string>(4).fill('accepted'),
        'missing',
      ])
      // What is live shares commits as it comes.
      if (kind === 'backfilled') expect(fixture.positions).to.have.length(commits + 1)
      expect((await stored(third)).event.content).to.deep.equal({})
      const current = (await fixture.currentState(roomId))['m.room.topic/']
      expect(current).to.equal(kind === 'live' ? second.eventId : undefined)
      const positions = await Promise.all([first, second, third, redaction].map(stored))
      const orderings = positions.map(({ streamOrdering }) => streamOrdering!)
      expect(orderings.every((ordering) => ordering < 0)).to.equal(kind === 'backfilled')
      const restarted = await fixture.restart()
      const states = await Promise.all(
        positions.map(({ stateBefore }) => restarted.roomState.getStateAt(stateBefore!)),
      )
      const topics = states.map(
        (state) => state.find(({ event }) => event.type === 'm.room.topic')?.event.eventId,
      )
      expect(topics).to.deep.equal([undefined, first.eventId, second.eventId, second.eventId])
      const again = await fixture.receiver.receiveAll(room, [{ event: first, isUnwanted: false }], kind)
      expect(again.map(({ outcome }) => outcome)).to.deep.equal(['known'])
    })
  }
})
