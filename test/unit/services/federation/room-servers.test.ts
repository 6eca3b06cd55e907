import { expect } from 'chai'
import { serverNameOf, type ServerName, type UserId } from '../../../../src/protocol/ids.js'
import { RoomServers } from '../../../../src/services/federation/room-servers.js'
import type { Database } from '../../../../src/storage/database.js'
import type { EventsStore } from '../../../../src/storage/stores/events.js'
import { RoomServersStore, type StreamedEvent } from '../../../../src/storage/stores/room-servers.js'
import { StateDeltasStore } from '../../../../src/storage/stores/state-deltas.js'
import { forEachDatabase } from '../../../support/databases.js'

const ROOM = 1
const ALICE = '@alice:hs.test' as UserId

forEachDatabase('RoomServers', (open) => {
  let db: Database
  let position: number
  let partial: readonly ServerName[] | undefined
  /** Membership by the nid of its event; the nid of each user's last. */
  let memberships: Map<number, string>
  let last: Map<string, number>

  beforeEach(async () => {
    db = await open()
    position = 0
    partial = undefined
    memberships = new Map()
    last = new Map()
  })

  function create(at: number): RoomServers {
    const events: Pick<EventsStore, 'getByNids'> = {
      getByNids: (_q, nids) =>
        Promise.resolve(
          new Map(
            nids.map((nid) => [nid, { event: { content: { membership: memberships.get(nid) } } } as never]),
          ),
        ),
    }
    const servers = new RoomServers({
      db,
      store: new RoomServersStore(),
      deltas: new StateDeltasStore(),
      tail: { between: () => Promise.resolve(undefined) },
      events: events as EventsStore,
      partialRooms: { get: () => partial && { roomNid: ROOM, joinNid: 1, servers: partial } },
    })
    servers.startAt(at)
    return servers
  }

  /** Memberships of several users, at one position each, or all at the same. */
  async function set(membership: string, userIds: readonly string[], options: { at?: number } = {}) {
    const rows = userIds.map((userId) => ({ userId, nid: options.at ?? ++position, delta: ++position }))
    await db.write('test', async (tx) => {
      for (const { userId, delta } of rows) {
        const at = options.at ?? delta
        memberships.set(delta, membership)
        await tx.execute(
          `INSERT INTO current_state_deltas (stream_ordering, room_nid, type, state_key, event_nid, prev_event_nid)
           VALUES (?, ?, 'm.room.member', ?, ?, ?)`,
          [at, ROOM, userId, delta, last.get(userId) ?? null],
        )
        last.set(userId, delta)
        await tx.execute(
          `INSERT INTO room_members (room_nid, user_id, membership, event_nid, stream_ordering, sender, is_local)
           VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (room_nid, user_id)
           DO UPDATE SET membership = excluded.membership, stream_ordering = excluded.stream_ordering`,
          [ROOM, userId, membership, delta, at, userId, serverNameOf(userId) === 'hs.test' ? 1 : 0],
        )
      }
    })
    return position
  }

  const event = (streamOrdering: number): StreamedEvent => ({
    eventNid: streamOrdering,
    roomNid: ROOM,
    streamOrdering,
    sender: ALICE,
    type: 'm.room.message',
    stateKey: undefined,
  })
  const names = (servers: ReadonlySet<ServerName> | undefined): string[] => [...(servers ?? [])].sort()

  it('knows who was there at each event, wherever it begins', async () => {
    const start = await set('join', [ALICE, '@b1:b.test'])
    const second = await set('join', ['@b2:b.test', '@c:c.test'])
    const invited = await set('invite', ['@d:d.test'])
    const left = await set('leave', ['@b1:b.test'])
    const gone = await set('leave', ['@b2:b.test'])
    const servers = create(start)
    const at = await servers.step([start + 1, second, invited, left, gone].map(event), gone)
    expect(names(at.get(start + 1)?.after)).to.deep.equal(['b.test', 'hs.test'])
    expect(names(at.get(second)?.before)).to.deep.equal(['b.test', 'hs.test'])
    expect(names(at.get(second)?.after)).to.deep.equal(['b.test', 'c.test', 'hs.test'])
    expect(names(at.get(left)?.after)).to.deep.equal(['b.test', 'c.test', 'hs.test'])
    expect(names(at.get(gone)?.before)).to.deep.equal(['b.test', 'c.test', 'hs.test'])
    expect(names(at.get(gone)?.after)).to.deep.equal(['c.test', 'hs.test'])
    expect([at.get(gone)?.isCrowded, servers.position]).to.deep.equal([false, gone])
    expect(names((await servers.list([ROOM])).get(ROOM))).to.deep.equal(['c.test', 'hs.test'])
    expect(names((await create(gone).list([ROOM])).get(ROOM))).to.deep.equal(['c.test', 'hs.test'])
    expect(names((await create(start).list([ROOM])).get(ROOM))).to.deep.equal(['b.test', 'hs.test'])
  })

  it('reads a room anew in which very much changes at once', async () => {
    const servers = create(0)
    await servers.list([ROOM])
    const at = 1
    await set(
      'join',
      Array.from({ length: 501 }, (_, n) => `@u${n}:s${n % 3}.test`),
      { at },
    )
    const found = await servers.step([event(at)], at)
    expect(found.get(at)?.isCrowded).to.equal(true)
    expect(names(found.get(at)?.after)).to.deep.equal(['s0.test', 's1.test', 's2.test'])
    expect(names((await servers.list([ROOM])).get(ROOM))).to.deep.equal(['s0.test', 's1.test', 's2.test'])
  })

  it('adds the servers that rooms of partial state were said to have', async () => {
    await set('join', [ALICE])
    partial = ['far.test' as ServerName]
    const servers = create(position)
    expect(names((await servers.list([ROOM])).get(ROOM))).to.deep.equal(['far.test', 'hs.test'])
    partial = undefined
    expect(names((await servers.list([ROOM])).get(ROOM))).to.deep.equal(['hs.test'])
    expect(names((await servers.list([2])).get(2))).to.deep.equal([])
  })
})
