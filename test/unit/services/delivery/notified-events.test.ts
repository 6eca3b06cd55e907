import { expect } from 'chai'
import type { UserId } from '../../../../src/protocol/ids.js'
import {
  NotifiedEvents,
  type NotifiedEventsDependencies,
} from '../../../../src/services/delivery/notified-events.js'
import { nextTurn } from '../../../../src/util/clock.js'

const USERS = ['@a:hs.test', '@b:hs.test', '@c:hs.test'] as UserId[]
const HIDING = USERS[2]!
const INVITER = '@inviter:hs.test'

/** Each of the users is invited once. Everybody but one hears of it; how many were asked about at a time is counted. */
function createNotifiedEvents(): { notified: NotifiedEvents; mostAtATime: () => number } {
  let asking = 0
  let most = 0
  const all = <V>(keys: readonly number[], value: (key: number) => V): Promise<Map<number, V>> =>
    Promise.resolve(new Map(keys.map((key) => [key, value(key)])))
  const deps = {
    db: { reader: undefined },
    changes: {
      listForUsers: (_q: unknown, users: readonly unknown[]) =>
        Promise.resolve(
          users.map((_, index) => [
            { membership: 'invite', roomNid: 1, eventNid: index, streamOrdering: index },
          ]),
        ),
    },
    rooms: { getByNids: (_q: unknown, nids: number[]) => all(nids, (roomNid) => ({ roomNid })) },
    events: {
      getByNids: (_q: unknown, nids: number[]) =>
        all(nids, (eventNid) => ({
          ...{ eventNid, roomNid: 1, redactedBy: null, rejected: null, softFailed: false, threadRoot: null },
          event: { sender: INVITER },
        })),
    },
    ignored: { of: () => Promise.resolve(new Set()) },
    hiddenInviters: {
      async of(userId: UserId) {
        most = Math.max(most, ++asking)
        await nextTurn()
        asking--
        return new Set(userId === HIDING ? [INVITER] : [])
      },
    },
    roomFacts: { get: () => Promise.resolve(new Map()) },
    notifications: { getDisplayNames: () => Promise.resolve(new Map()) },
    pushRules: {
      evaluatorsOfChanged: () => Promise.resolve(new Map()),
      defaultEvaluator: () => ({ evaluate: () => ({ notify: true, highlight: false, actions: ['notify'] }) }),
    },
  }
  return {
    notified: new NotifiedEvents(deps as unknown as NotifiedEventsDependencies),
    mostAtATime: () => most,
  }
}

describe('NotifiedEvents', () => {
  it('tells of invitations but those that are hidden, and asks for all users at the same time', async () => {
    const { notified, mostAtATime } = createNotifiedEvents()
    const lists = await Promise.all(
      USERS.map((userId) => notified.listInvitations(userId, { after: 0, upTo: 10 })),
    )
    expect(lists.map(({ length }) => length)).to.deep.equal([1, 1, 0])
    expect(mostAtATime()).to.equal(USERS.length)
  })
})
