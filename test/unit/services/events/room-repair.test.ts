import { expect } from 'chai'
import type { Event } from '../../../../src/protocol/event.js'
import type { RoomId } from '../../../../src/protocol/ids.js'
import type { RoomRepairReport } from '../../../../src/services/events/room-repair.js'
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

const message = (sender: RemoteDraft['sender'], body = 'x'): RemoteDraft => ({
  type: 'm.room.message',
  sender,
  content: { body },
})
const topic = (sender: RemoteDraft['sender'], text: string): RemoteDraft => ({
  type: 'm.room.topic',
  stateKey: '',
  sender,
  content: { topic: text },
})

forEachDatabase('RoomRepair', (open) => {
  let fixture: EventFixture
  let roomId: RoomId
  let root: Event
  let right: Event

  /** A room that ends with two branches which disagree about its topic. */
  beforeEach(async () => {
    fixture = await createEventFixture(await open())
    roomId = await createRoom(fixture, { levels: { users: { [CAROL]: 50 }, state_default: 50 } })
    await fixture.sender.send({ userId: BOB }, { roomId, ...joinOf(BOB) })
    const [last] = (await fixture.timeline(roomId)).slice(-1)
    const remote = await RemoteServer.of(fixture, roomId)
    root = await remote.send([last!.event], { ...joinOf(CAROL), sender: CAROL })
    await remote.send([root], topic(CAROL, 'left'))
    right = await remote.send([root], topic(ALICE, 'right'))
  })

  const repair = (dryRun = false): Promise<RoomRepairReport> =>
    fixture.services.roomRepair.repair(roomId, { dryRun })

  const execute = (sql: string, params: readonly SqlValue[] = []): Promise<number> =>
    fixture.db.write('damage', (tx) => tx.execute(sql, params))

  const nidOf = async (event: Event): Promise<number> =>
    (await fixture.stores.events.get(fixture.db.reader, event.eventId))!.eventNid

  /** All that a repair may change. */
  async function tables(): Promise<unknown> {
    const all = (sql: string): Promise<unknown[]> => fixture.db.reader.all(sql)
    return {
      ends: await all('SELECT event_nid FROM forward_extremities ORDER BY event_nid'),
      state: await all('SELECT type, state_key, event_nid FROM current_state ORDER BY type, state_key'),
      members: await all('SELECT user_id, membership, event_nid FROM room_members ORDER BY user_id'),
      counts: await all('SELECT joined_members, invited_members FROM rooms'),
    }
  }

  const kinds = ({ findings }: RoomRepairReport): string[] => findings.map(({ kind }) => kind)

  it('finds nothing where nothing is wrong', async () => {
    const before = await tables()
    expect(await repair()).to.deep.equal({
      roomId,
      findings: [],
      omitted: 0,
      isRepaired: false,
      obstacle: undefined,
    })
    expect(await tables()).to.deep.equal(before)
    expect(fixture.positions.at(-1)?.rooms).to.deep.equal([roomId])
  })

  it('mends the ends of the graph', async () => {
    const before = await tables()
    await execute('DELETE FROM forward_extremities WHERE event_nid = ?', [await nidOf(right)])
    await execute(
      'INSERT INTO forward_extremities (room_nid, event_nid) SELECT room_nid, event_nid FROM events WHERE event_id = ?',
      [root.eventId],
    )
    await execute('INSERT INTO forward_extremities (room_nid, event_nid) SELECT room_nid, -5 FROM rooms')
    const damaged = await tables()
    const findings = [
      { kind: 'followedEnd', eventId: root.eventId },
      { kind: 'brokenEnd', eventId: undefined },
      { kind: 'lostEnd', eventId: right.eventId },
    ]
    expect((await repair(true)).findings).to.deep.equal(findings)
    expect(await tables(), 'after a dry run').to.deep.equal(damaged)
    expect(await repair()).to.deep.equal({
      roomId,
      findings,
      omitted: 0,
      isRepaired: true,
      obstacle: undefined,
    })
    expect(await tables()).to.deep.equal(before)
    expect(kinds(await repair())).to.deep.equal([])
  })

  it('mends the ends alone, and says how many were none', async () => {
    const { roomRepair } = fixture.services
    const before = await tables()
    expect(await roomRepair.repairEnds(roomId)).to.equal(0)
    await execute(
      'INSERT INTO forward_extremities (room_nid, event_nid) SELECT room_nid, event_nid FROM events WHERE event_id = ?',
      [root.eventId],
    )
    expect(await roomRepair.repairEnds(roomId)).to.equal(1)
    expect(await tables()).to.deep.equal(before)
    const missing = await roomRepair.repairEnds('!no:hs.test' as RoomId).catch((error: unknown) => error)
    expect(missing).to.have.property('errcode', 'M_NOT_FOUND')
  })

  it('writes the current state, members and counts anew', async () => {
    const before = await tables()
    const winner = (await fixture.currentState(roomId))['m.room.topic/']
    await execute(`DELETE FROM current_state WHERE type = 'm.room.join_rules'`)
    await execute(`UPDATE current_state SET event_nid = ? WHERE type = 'm.room.topic'`, [await nidOf(root)])
    await execute(`UPDATE room_members SET membership = 'ban', event_nid = 1 WHERE user_id = ?`, [BOB])
    await execute('DELETE FROM room_members WHERE user_id = ?', [CAROL])
    await execute('UPDATE rooms SET joined_members = 77')
    const report = await repair()
    expect(kinds(report).sort()).to.deep.equal([
      'wrongCounts',
      'wrongMember',
      'wrongMember',
      'wrongState',
      'wrongState',
    ])
    expect(report.findings).to.deep.include({
      kind: 'wrongState',
      type: 'm.room.topic',
      stateKey: '',
      is: root.eventId,
      shouldBe: winner,
    })
    expect(await tables()).to.deep.equal(before)
    await fixture.sender.send({ userId: BOB }, { roomId, ...message(BOB) })
    expect(kinds(await repair())).to.deep.equal([])
  })

  it('takes those out of the members of whom the state says nothing', async () => {
    await execute(
      `INSERT INTO room_members (room_nid, user_id, membership, event_nid, stream_ordering, sender, is_local)
       SELECT room_nid, '@ghost:hs.test', 'join', 0, 0, '@ghost:hs.test', 1 FROM rooms`,
    )
    const report = await repair()
    expect(kinds(report)).to.deep.equal(['wrongMember', 'wrongCounts'])
    const row = await fixture.db.reader.first(
      `SELECT membership FROM room_members WHERE user_id = '@ghost:hs.test'`,
    )
    expect(row).to.deep.equal({ membership: 'leave' })
    expect(kinds(await repair())).to.deep.equal([])
  })

  it('lets a room keep its ends when nothing else is left', async () => {
    await execute('UPDATE events SET soft_failed = 1')
    const report = await repair()
    expect(report.obstacle).to.equal('no event is left that the room could end at')
    expect(await fixture.db.reader.all('SELECT 1 FROM forward_extremities')).to.have.length(2)
  })

  it('does not know rooms that are not there', async () => {
    const nowhere = fixture.services.roomRepair.repair('!nowhere:hs.test' as RoomId, { dryRun: true })
    expect(await nowhere.catch((error: unknown) => error)).to.have.property('errcode', 'M_NOT_FOUND')
  })
})
