import { expect } from 'chai'
import type { Event } from '../../../../src/protocol/event.js'
import type { EventId, RoomId } from '../../../../src/protocol/ids.js'
import type { RoomRepairReport } from '../../../../src/services/events/room-repair.js'
import type { RoomWitnesses } from '../../../../src/services/events/room-witnesses.js'
import type { SqlValue } from '../../../../src/storage/database.js'
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

const topic = (sender: RemoteDraft['sender'], text: string): RemoteDraft => ({
  type: 'm.room.topic',
  stateKey: '',
  sender,
  content: { topic: text },
})

/** The state at each event: the events before it, and after it. */
type States = Record<string, { before: string[] | null; after: string[] | null }>

forEachDatabase('StateRepair', (open) => {
  let fixture: EventFixture
  let roomId: RoomId
  let topics: Event[]
  let merge: Event
  /** The one that does not count in the end. */
  let loser: Event

  /** A room with two branches about its topic, and a message after both. */
  beforeEach(async () => {
    fixture = await createEventFixture(await open())
    roomId = await createRoom(fixture, { levels: { users: { [CAROL]: 50 }, state_default: 50 } })
    await fixture.sender.send({ userId: BOB }, { roomId, ...joinOf(BOB) })
    const [last] = (await fixture.timeline(roomId)).slice(-1)
    const remote = await RemoteServer.of(fixture, roomId)
    const root = await remote.send([last!.event], { ...joinOf(CAROL), sender: CAROL })
    const left = await remote.send([root], topic(CAROL, 'left'))
    const right = await remote.send([root], topic(ALICE, 'right'))
    topics = [left, right]
    const note = { type: 'm.room.message', sender: CAROL, content: { body: 'x' } }
    merge = await remote.send([left, right], note)
    await fixture.sender.send({ userId: BOB }, { roomId, type: 'm.room.message', content: { body: 'y' } })
    const winner = (await fixture.currentState(roomId))['m.room.topic/']
    loser = topics.find(({ eventId }) => eventId !== winner)!
  })

  const execute = (sql: string, params: readonly SqlValue[] = []): Promise<number> =>
    fixture.db.write('damage', (tx) => tx.execute(sql, params))

  /** By a process that has nothing of it in memory. */
  async function repair(dryRun = false, witnesses?: RoomWitnesses): Promise<RoomRepairReport> {
    const { services } = await fixture.restart()
    return services.roomRepair.repair(roomId, { dryRun, witnesses })
  }

  async function states(): Promise<States> {
    const fresh = await fixture.restart()
    const q = fresh.db.reader
    const eventsOf = async (nid: number | null): Promise<string[] | null> => {
      const read = nid === null ? undefined : fresh.stores.snapshots.getMany(q, [nid])
      const snapshot = nid === null ? undefined : (await read?.catch(() => undefined))?.get(nid)
      if (!snapshot) return null
      const events = await fresh.stores.events.getByNids(q, [...snapshot.events])
      return [...events.values()].map(({ event }) => event.eventId).sort()
    }
    const result: States = {}
    for (const { event, stateBefore, stateAfter } of await fresh.timeline(roomId)) {
      result[event.eventId] = { before: await eventsOf(stateBefore), after: await eventsOf(stateAfter) }
    }
    return result
  }

  const nidOf = async (event: Event): Promise<number> =>
    (await fixture.stores.events.get(fixture.db.reader, event.eventId))!.eventNid
  const stateAfter = async (event: Event): Promise<number> =>
    (await fixture.stores.events.get(fixture.db.reader, event.eventId))!.stateAfter!
  const kinds = ({ findings }: RoomRepairReport): string[] => [...new Set(findings.map(({ kind }) => kind))]

  /** Breaks the room, sees that a dry run finds it and changes nothing, and that a repair puts everything back. */
  async function expectMended(
    damage: () => Promise<unknown>,
    expected: { kinds: string[]; finding?: object },
  ): Promise<void> {
    const before = await states()
    await damage()
    const damaged = await states()
    const dry = await repair(true)
    expect(kinds(dry)).to.deep.equal(expected.kinds)
    if (expected.finding) expect(dry.findings).to.deep.include(expected.finding)
    expect(dry.obstacle).to.equal(undefined)
    expect(await states(), 'after a dry run').to.deep.equal(damaged)
    const report = await repair()
    expect(report.findings).to.deep.equal(dry.findings)
    expect(report).to.deep.include({ isRepaired: true, obstacle: undefined })
    expect(await states()).to.deep.equal(before)
    expect((await repair()).findings).to.deep.equal([])
    const fresh = await fixture.restart()
    await fresh.sender
      .send({ userId: BOB }, { roomId, ...topic(ALICE, 'after'), userId: BOB } as never)
      .catch(() => 0)
    await fresh.sender.send({ userId: ALICE }, { roomId, type: 'm.room.message', content: { body: 'z' } })
  }

  it('finds the states out that are gone', async () => {
    await expectMended(() => execute('DELETE FROM state_snapshots'), {
      kinds: ['missingState'],
      finding: { kind: 'missingState', fault: 'missing', eventId: loser.eventId, events: 1, from: 'graph' },
    })
  })

  it('finds the state out at which branches meet', async () => {
    const nid = await stateAfter(merge)
    await expectMended(() => execute('DELETE FROM state_snapshots WHERE snapshot_nid = ?', [nid]), {
      kinds: ['missingState'],
    })
  })

  it('finds states out that cannot be read, or are not what they are called', async () => {
    const nid = await stateAfter(loser)
    const bytes = fixture.db.dialect.name === 'sqlite' ? `x'ff'` : `'\\xff'::bytea`
    await expectMended(
      () => execute(`UPDATE state_snapshots SET delta = ${bytes} WHERE snapshot_nid = ?`, [nid]),
      {
        kinds: ['missingState'],
        finding: {
          kind: 'missingState',
          fault: 'unreadable',
          eventId: loser.eventId,
          events: 1,
          from: 'graph',
        },
      },
    )
    const wrong = fixture.db.dialect.name === 'sqlite' ? `x'0107'` : `'\\x0107'::bytea`
    await expectMended(
      () => execute(`UPDATE state_snapshots SET delta = ${wrong} WHERE base_nid IS NULL AND entries > 0`),
      { kinds: ['missingState'] },
    )
  })

  it('finds out what states build on', async () => {
    await expectMended(
      () =>
        execute(
          'DELETE FROM state_snapshots WHERE snapshot_nid IN (SELECT base_nid FROM state_snapshots WHERE base_nid IS NOT NULL)',
        ),
      { kinds: ['missingState'] },
    )
  })

  it('links events that name no state', async () => {
    await expectMended(() => execute('UPDATE events SET state_before = NULL, state_after = NULL'), {
      kinds: ['missingState'],
      finding: {
        kind: 'missingState',
        fault: 'unlinked',
        eventId: merge.eventId,
        events: 1,
        from: 'graph',
      },
    })
  })

  it('looks at what is written, whatever a running server has in memory', async () => {
    await execute('DELETE FROM auth_chains WHERE event_nid = ?', [await nidOf(loser)])
    await execute('DELETE FROM state_snapshots')
    const report = await fixture.services.roomRepair.repair(roomId, { dryRun: false })
    expect(kinds(report)).to.deep.equal(['missingPosition', 'missingState'])
    await fixture.sender.send({ userId: ALICE }, { roomId, ...topic(ALICE, 'after') })
    expect((await repair()).findings).to.deep.equal([])
  })

  it('gives events their places in the auth chains and in the graph', async () => {
    await expectMended(
      async () => {
        await execute('DELETE FROM auth_chains WHERE event_nid = ?', [await nidOf(topics[0]!)])
        await execute('DELETE FROM auth_chains WHERE event_nid = (SELECT MIN(event_nid) FROM auth_chains)')
        await execute('DELETE FROM event_edges WHERE event_nid = ?', [await nidOf(topics[1]!)])
        await execute('DELETE FROM state_snapshots')
      },
      { kinds: ['missingPosition', 'missingEdge', 'missingState'] },
    )
  })

  describe('where the beginning of a room is not held', () => {
    /** As after a join through another server: the events up to a point have no place in the timeline. */
    async function forgetBeginning(): Promise<void> {
      const root = (await fixture.timeline(roomId)).find(({ event }) => event.stateKey === CAROL)!
      await execute(
        `INSERT INTO missing_events (event_nid, event_id, room_nid)
         SELECT event_nid, event_id, room_nid FROM events WHERE event_nid IN
           (SELECT prev_nid FROM event_edges WHERE event_nid = ?)`,
        [root.eventNid],
      )
      await execute(
        'UPDATE events SET stream_ordering = NULL, state_before = NULL, state_after = NULL WHERE stream_ordering < ?',
        [root.streamOrdering!],
      )
    }

    const witness = (state: readonly EventId[]): RoomWitnesses & { asked: EventId[] } => {
      const asked: EventId[] = []
      return {
        asked,
        stateAfter: (_room, id) => {
          asked.push(id)
          return Promise.resolve(state)
        },
        fetchAuthEvents: () => Promise.resolve(),
      }
    }

    let before: States
    let beginning: EventId[]
    beforeEach(async () => {
      const root = (await fixture.timeline(roomId)).find(({ event }) => event.stateKey === CAROL)!
      beginning = ((await states())[root.event.eventId]!.before ?? []) as EventId[]
      await forgetBeginning()
      before = await states()
    })

    it('asks other servers', async () => {
      await execute('DELETE FROM state_snapshots')
      const servers = witness(beginning)
      const dry = await repair(true, servers)
      expect(new Set(dry.findings.map((one) => 'from' in one && one.from))).to.include('servers')
      expect(servers.asked).to.deep.equal([])
      const report = await repair(false, servers)
      expect(servers.asked).to.have.length(1)
      expect(report).to.deep.include({ isRepaired: true, obstacle: undefined })
      expect(await states()).to.deep.equal(before)
      expect((await repair()).findings).to.deep.equal([])
    })

    it('says what is lost where nobody knows', async () => {
      await execute('DELETE FROM state_snapshots')
      const report = await repair()
      expect(report.obstacle).to.match(/^\d+ states of the room are lost: other servers/)
      expect(kinds(report)).to.deep.equal(['missingState'])
      const after = await states()
      // The state at the end is what the room's tables say; before branches, nobody can know.
      expect(after[merge.eventId]).to.deep.equal(before[merge.eventId])
      expect(after[loser.eventId]).to.deep.equal({ before: null, after: null })
      expect(
        (await repair(false, { ...witness([]), stateAfter: () => Promise.resolve(undefined) })).obstacle,
      ).to.match(/lost: only a backup has them/)
    })

    it('asks for events that authorize others', async () => {
      const [create] = await fixture.db.reader.all<{ event_nid: number; event_id: EventId }>(
        `SELECT event_nid, event_id FROM events WHERE type = 'm.room.power_levels'`,
      )
      await execute('DELETE FROM events WHERE event_nid = ?', [create!.event_nid])
      const lost = await repair()
      const hollow = lost.findings.filter((one) => one.kind === 'missingState' && one.fault === 'hollow')
      expect(hollow).to.have.length.above(0)
      expect(lost.obstacle).to.match(/1 events that authorize others are lost/)
      const asked: EventId[] = []
      await repair(false, {
        stateAfter: () => Promise.resolve(undefined),
        fetchAuthEvents: (_room, ids) => {
          asked.push(...ids)
          return Promise.resolve()
        },
      })
      expect(asked).to.deep.equal([create!.event_id])
    })
  })
})
