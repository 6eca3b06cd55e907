import { expect } from 'chai'
import type { Event } from '../../../../src/protocol/event.js'
import type { RoomId } from '../../../../src/protocol/ids.js'
import { AuthCover } from '../../../../src/services/events/auth-cover.js'
import { ConflictResolver } from '../../../../src/services/events/conflict-resolver.js'
import { EventLookup } from '../../../../src/services/events/pending-events.js'
import { EventExplanations } from '../../../../src/services/administration/event-explanations.js'
import { StateExplanations } from '../../../../src/services/administration/state-explanations.js'
import { RoomExplanationStore } from '../../../../src/storage/stores/room-explanation.js'
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

const TOPIC = { type: 'm.room.topic', stateKey: '' }
const topic = (sender: RemoteDraft['sender'], text: string): RemoteDraft => ({
  ...TOPIC,
  sender,
  content: { topic: text },
})
const banOf = (userId: RemoteDraft['sender']): RemoteDraft => ({
  type: 'm.room.member',
  stateKey: userId,
  sender: ALICE,
  content: { membership: 'ban' },
})

forEachDatabase('EventExplanations and StateExplanations', (open) => {
  let fixture: EventFixture
  let roomId: RoomId
  let remote: RemoteServer
  let root: Event
  let states: StateExplanations
  let events: EventExplanations

  async function start(version = '12'): Promise<void> {
    fixture = await createEventFixture(await open())
    const users = { [CAROL]: 50, ...(version !== '12' && { [ALICE]: 100 }) }
    roomId = await createRoom(fixture, { version, levels: { users, state_default: 50 } })
    remote = await RemoteServer.of(fixture, roomId)
    const [last] = (await fixture.timeline(roomId)).slice(-1)
    root = await remote.send([last!.event], { ...joinOf(CAROL), sender: CAROL })
    const { db, stores } = fixture
    const lookup = new EventLookup(db, stores)
    const cover = new AuthCover(db, { graph: stores.graph, lookup })
    const conflicts = new ConflictResolver(db, { stateKeys: stores.stateKeys, lookup, cover })
    states = new StateExplanations({ ...stores, db, explanation: new RoomExplanationStore(), conflicts })
    events = new EventExplanations({ ...stores, db })
  }
  beforeEach(() => start())

  for (const version of ['1', '6', '12']) {
    it(`tells what came too late to count, in version ${version}`, async () => {
      await start(version)
      const ban = await remote.send([root], banOf(CAROL))
      const lost = await remote.make([root], topic(CAROL, 'of Carol'))
      await remote.receive(lost)
      const first = await remote.send([ban], topic(ALICE, 'of Alice'))
      const merged = await fixture.sender.send(
        { userId: ALICE },
        { roomId, type: 'm.room.message', content: {} },
      )
      const explained = await states.explain(roomId, TOPIC)
      expect(explained.holder?.eventId).to.equal(first.eventId)
      const [, loser] = explained.candidates
      expect(explained.candidates.map(({ event }) => event.eventId)).to.deep.equal([
        first.eventId,
        lost.eventId,
      ])
      // It came after the ban that it does not know of: it is in no state that counts.
      expect(loser?.fate).to.equal('softFailed')
      expect(merged).to.match(/^\$/)
    })
  }

  it('tells what state resolution tried, at the ends and where they have been joined', async () => {
    const left = await remote.send([root], topic(CAROL, 'left'))
    const right = await remote.send([root], topic(ALICE, 'right'))
    const open_ = await states.explain(roomId, TOPIC)
    const holder = open_.holder!.eventId
    const other = holder === left.eventId ? right.eventId : left.eventId
    expect(open_.merge).to.deep.include({ at: undefined, algorithm: 'v2.1', winner: holder })
    expect(open_.merge?.branches).to.have.deep.members([
      { end: left.eventId, holds: left.eventId },
      { end: right.eventId, holds: right.eventId },
    ])
    const tried = open_.merge?.steps.map(({ event, pass, verdict }) => [event.eventId, pass, verdict.allowed])
    expect(tried?.slice(-2)).to.deep.equal([
      [other, 'mainline', true],
      [holder, 'mainline', true],
    ])
    expect(open_.candidates.map(({ fate }) => fate).sort()).to.deep.equal(['holds', 'lost'])
    const joined = await fixture.sender.send(
      { userId: ALICE },
      { roomId, type: 'm.room.message', content: {} },
    )
    const closed = await states.explain(roomId, TOPIC)
    expect(closed.merge).to.equal(undefined)
    const loser = closed.candidates.find(({ fate }) => fate === 'lost')
    expect(loser?.event.eventId).to.equal(other)
    expect(loser?.merge).to.deep.include({ at: joined, winner: holder, unknownBranches: 0 })
  })

  it('tells by which rule an event was refused in a resolution', async () => {
    const lost = await remote.send([root], topic(CAROL, 'of Carol'))
    const ban = await remote.send([root], banOf(CAROL))
    const explained = await states.explain(roomId, TOPIC)
    expect(explained.holder).to.equal(undefined)
    expect(explained.merge?.winner).to.equal(undefined)
    const steps = explained.merge?.steps.map(({ event, verdict }) => [event.eventId, verdict.rule])
    expect(steps).to.deep.include([ban.eventId, undefined])
    expect(steps).to.deep.include([lost.eventId, '6'])
    expect(explained.candidates[0]).to.deep.include({ fate: 'lost' })
  })

  it('tells what was replaced, rejected and soft-failed', async () => {
    const first = await remote.send([root], topic(CAROL, 'one'))
    const second = await remote.send([first], topic(CAROL, 'two'))
    const rejected = await remote.make([second], { ...topic(BOB, 'three'), authEvents: [] })
    await remote.receive(rejected)
    const { candidates, holder } = await states.explain(roomId, TOPIC)
    expect(holder?.eventId).to.equal(second.eventId)
    expect(candidates.map(({ event, fate, replacedBy }) => [event.eventId, fate, replacedBy])).to.deep.equal([
      [rejected.eventId, 'rejected', undefined],
      [second.eventId, 'holds', undefined],
      [first.eventId, 'replaced', second.eventId],
    ])
  })

  it('knows nothing of state that nobody ever set', async () => {
    expect(await states.explain(roomId, { type: 'm.none', stateKey: 'x' })).to.deep.equal({
      roomId,
      type: 'm.none',
      stateKey: 'x',
      holder: undefined,
      merge: undefined,
      candidates: [],
    })
    const nowhere = states.explain('!nowhere:hs.test' as RoomId, TOPIC)
    expect(await nowhere.catch((error: unknown) => error)).to.have.property('errcode', 'M_NOT_FOUND')
  })

  it('makes the checks on an event again', async () => {
    const kind = { type: 'm.room.power_levels', stateKey: '', sender: CAROL, content: { ban: 90 } }
    const refused = await remote.make([root], kind)
    await remote.receive(refused)
    const explained = await events.explain(roomId, refused.eventId)
    expect(explained.event.status).to.equal('rejected')
    const byAuth = explained.checks[0]!
    expect(`${byAuth.verdict.rule}: ${byAuth.verdict.reason}`).to.equal(explained.event.rejected)
    expect(byAuth.inputs.map(({ type }) => type)).to.include('m.room.power_levels')
    expect(explained.checks.map(({ by, verdict }) => [by, verdict.allowed])).to.deep.equal([
      ['authEvents', false],
      ['stateBefore', false],
      ['currentState', false],
    ])
    expect(explained.prevEvents.map(({ eventId }) => eventId)).to.deep.equal([root.eventId])
  })

  it('shows that what failed softly was allowed where it stands', async () => {
    await remote.send([root], banOf(CAROL))
    const late = await remote.make([root], { type: 'm.room.message', sender: CAROL, content: {} })
    await remote.receive(late)
    const explained = await events.explain(roomId, late.eventId)
    expect(explained.event.status).to.equal('softFailed')
    expect(explained.checks.map(({ by, verdict }) => [by, verdict.allowed, verdict.rule])).to.deep.equal([
      ['authEvents', true, undefined],
      ['stateBefore', true, undefined],
      ['currentState', false, '6'],
    ])
    const other = await createRoom(fixture)
    const elsewhere = events.explain(other, late.eventId)
    expect(await elsewhere.catch((error: unknown) => error)).to.have.property('errcode', 'M_NOT_FOUND')
  })
})
