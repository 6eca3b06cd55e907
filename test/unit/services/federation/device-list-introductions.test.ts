import { expect } from 'chai'
import type { DeviceId, ServerName, UserId } from '../../../../src/protocol/ids.js'
import { DeviceListIntroductions } from '../../../../src/services/federation/device-list-introductions.js'
import type { Database } from '../../../../src/storage/database.js'

const ALICE = '@alice:hs.test' as UserId
const ROOM = 1
const OTHER_ROOM = 2

/** Introductions among rooms whose servers are told by name; `introduced` has the users, one entry a time. */
function create(rooms: Record<number, string[]>): {
  introductions: DeviceListIntroductions
  introduced: UserId[]
  complete: (roomNid: number) => Promise<void>
  partial: Set<number>
} {
  const introduced: UserId[] = []
  const partial = new Set<number>()
  let position = 0
  let completed: number[] = []
  const db = { reader: {}, write: (_name: string, write: (tx: unknown) => unknown) => write({}) }
  const introductions = new DeviceListIntroductions({
    db: db as unknown as Database,
    store: {
      listJoinedRooms: (_q, users) =>
        Promise.resolve(new Map(users.map((userId) => [userId, Object.keys(rooms).map(Number)]))),
    },
    audience: {
      serversInRooms: (nids) =>
        Promise.resolve(new Map([...nids].map((nid) => [nid, new Set((rooms[nid] ?? []) as ServerName[])]))),
    },
    devices: {
      list: () => Promise.resolve([{ deviceId: 'A' as DeviceId }] as never),
      recordChange: (_tx, userId) => {
        introduced.push(userId)
        return Promise.resolve()
      },
    },
    crossSigning: { isSetUp: () => Promise.resolve(false) },
    members: { sampleLocalMembers: () => Promise.resolve([ALICE]) },
    partialRooms: { completedBetween: () => completed, isPartial: (roomNid) => partial.has(roomNid) },
    eventStream: { position: () => position },
    onError: (error) => {
      throw error
    },
  })
  introductions.start()
  const complete = async (roomNid: number): Promise<void> => {
    partial.delete(roomNid)
    completed = [roomNid]
    position += 1
    introductions.onNewPosition('events')
    await introductions.stop()
  }
  return { introductions, introduced, complete, partial }
}

describe('DeviceListIntroductions', () => {
  it('makes devices known where a server is new to the user', async () => {
    const { introductions, introduced } = create({ [ROOM]: ['a.test', 'b.test'], [OTHER_ROOM]: ['a.test'] })
    await introductions.onJoined(ALICE, { roomNid: ROOM })
    expect(introduced).to.deep.equal([ALICE])
    await introductions.onJoined(ALICE, { roomNid: OTHER_ROOM })
    expect(introduced).to.have.length(1)
  })

  it('does so once where all servers were known before the members', async () => {
    const { introductions, introduced, complete, partial } = create({ [ROOM]: ['a.test'] })
    partial.add(ROOM)
    await introductions.onJoined(ALICE, { roomNid: ROOM })
    await complete(ROOM)
    expect(introduced).to.deep.equal([ALICE])
  })

  it('does so again where the members show another server', async () => {
    const rooms = { [ROOM]: ['a.test'] }
    const { introductions, introduced, complete, partial } = create(rooms)
    partial.add(ROOM)
    await introductions.onJoined(ALICE, { roomNid: ROOM })
    rooms[ROOM] = ['a.test', 'b.test']
    await complete(ROOM)
    expect(introduced).to.deep.equal([ALICE, ALICE])
  })

  it('does so when a room is whole that was joined before the start', async () => {
    const { introduced, complete } = create({ [ROOM]: ['a.test'] })
    await complete(ROOM)
    expect(introduced).to.deep.equal([ALICE])
  })
})
