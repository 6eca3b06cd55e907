import { expect } from 'chai'
import type { RoomId, UserId } from '../../../../src/protocol/ids.js'
import { PusherAudience } from '../../../../src/services/delivery/pusher-audience.js'
import { CacheRegistry } from '../../../../src/storage/cache-registry.js'
import type { Database } from '../../../../src/storage/database.js'
import { EVERYBODY, type NotificationsStore } from '../../../../src/storage/stores/notifications.js'
import { PusherHolders } from '../../../../src/storage/stores/pusher-holders.js'
import { createMetrics } from '../../../../src/telemetry/metrics.js'

const ALICE = '@alice:hs.test' as UserId
const BOB = '@bob:hs.test' as UserId
const CAROL = '@carol:hs.test' as UserId
const RANGE = { after: 1, upTo: 2 }

const room = (roomNid: number, notifies = true) => ({ roomId: `!${roomNid}` as RoomId, roomNid, notifies })

describe('PusherAudience', () => {
  let holders: PusherHolders
  /** Who is in which room. */
  let members: Map<number, UserId[]>
  /** Whom events of the range single out, as `room user`. */
  let singledOut: Set<string>
  let statements: string[]
  let audience: PusherAudience

  beforeEach(() => {
    holders = new PusherHolders()
    members = new Map([
      [1, [ALICE, BOB, CAROL]],
      [2, [CAROL]],
    ])
    singledOut = new Set()
    statements = []
    const notifications: Pick<NotificationsStore, 'listPusherHolders' | 'listSingledOut'> = {
      listPusherHolders: (_q, roomNids) => {
        statements.push('holders')
        const found = roomNids.map(
          (nid) => [nid, (members.get(nid) ?? []).filter((userId) => holders.has(userId))] as const,
        )
        return Promise.resolve(new Map(found))
      },
      listSingledOut: (_q, asked) => {
        statements.push('singled out')
        return Promise.resolve(asked.filter(({ roomNid, userId }) => singledOut.has(`${roomNid} ${userId}`)))
      },
    }
    audience = new PusherAudience({
      db: {} as Database,
      caches: new CacheRegistry(createMetrics()),
      pushers: { holders, loadHolders: () => Promise.resolve() },
      notifications,
    })
  })

  const concerned = async (...rooms: ReturnType<typeof room>[]): Promise<Record<string, number[]>> =>
    Object.fromEntries(
      [...(await audience.concerned(rooms, RANGE))].map(([userId, nids]) => [userId, [...nids]]),
    )

  it('asks nothing where nobody has a pusher', async () => {
    expect(await concerned(room(1), room(2, false))).to.deep.equal({})
    expect(statements).to.deep.equal([])
  })

  it('asks once who of a room has one, and then no more', async () => {
    holders.load([ALICE, CAROL])
    for (let round = 0; round < 3; round++) {
      expect(await concerned(room(1), room(2), room(3))).to.deep.equal({ [ALICE]: [1], [CAROL]: [1, 2] })
    }
    expect(statements).to.deep.equal(['holders'])
  })

  it('asks in one statement for all rooms whom quiet events single out', async () => {
    holders.load([ALICE, BOB, CAROL])
    singledOut = new Set([`1 ${BOB}`, `2 ${EVERYBODY}`])
    expect(await concerned(room(1, false), room(2, false))).to.deep.equal({ [BOB]: [1], [CAROL]: [2] })
    expect(statements).to.deep.equal(['holders', 'singled out'])
    // Nobody there has a pusher: nothing to ask.
    expect(await concerned(room(3, false))).to.deep.equal({})
    expect(await concerned(room(3, false))).to.deep.equal({})
    expect(statements).to.deep.equal(['holders', 'singled out', 'holders'])
  })

  it('learns of those who come, and of those who get their first pusher', async () => {
    holders.load([ALICE])
    expect(await concerned(room(1))).to.deep.equal({ [ALICE]: [1] })
    holders.load([BOB])
    expect(await concerned(room(1))).to.deep.equal({ [ALICE]: [1], [BOB]: [1] })
    members.set(1, [BOB])
    audience.onNewPosition('events', { rooms: [room(1).roomId], users: [ALICE] })
    expect(await concerned(room(1))).to.deep.equal({ [BOB]: [1] })
  })

  it('leaves out at once those who have none any more', async () => {
    holders.load([ALICE, BOB])
    await concerned(room(1))
    holders.drop([ALICE], holders.mark())
    expect(await concerned(room(1))).to.deep.equal({ [BOB]: [1] })
    expect(audience.holdersAmong([ALICE, BOB])).to.deep.equal([BOB])
  })
})
