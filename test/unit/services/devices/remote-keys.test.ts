import { expect } from 'chai'
import type { ServerName, UserId } from '../../../../src/protocol/ids.js'
import { RemoteKeys } from '../../../../src/services/devices/remote-keys.js'
import { FederationError } from '../../../../src/services/remote/federation-error.js'
import { nextTurn } from '../../../../src/util/clock.js'
import { ManualClock } from '../../../support/manual-clock.js'

const ALICE = '@alice:hs.test' as UserId
const SLOW = 'slow.test' as ServerName

describe('RemoteKeys', () => {
  it('waits for a server for so long only, however many lists it has', async () => {
    const clock = new ManualClock()
    let asked = 0
    const keys = new RemoteKeys({
      db: { reader: {} } as never,
      clock,
      client: { request: () => Promise.reject(new Error('nothing else is asked')) },
      remoteDevices: {
        listFresh: () => Promise.resolve(new Set()),
        listFollowable: (_q: unknown, userIds: readonly UserId[]) => Promise.resolve(new Set(userIds)),
        listDevices: () => Promise.resolve([]),
      } as never,
      crossSigning: {
        getMany: () => Promise.resolve(new Map()),
        listSignatures: () => Promise.resolve([]),
      } as never,
      deviceLists: {
        keepCrossSigning: () => Promise.resolve(),
        // Each takes as long as it may.
        fetch: async (_userId, options) => {
          asked += 1
          await clock.sleep(9_000, options?.signal).catch(() => {
            throw new FederationError(SLOW, 'unreachable', 'too slow')
          })
        },
      },
    })
    const query = new Map(Array.from({ length: 50 }, (_, n) => [`@u${n}:slow.test` as UserId, []] as const))
    const asking = keys.query(ALICE, query, { timeoutMs: 10_000 })
    for (let second = 0; second < 15; second++) {
      await nextTurn()
      clock.advance(1_000)
    }
    const { failures } = await asking
    expect(Object.keys(failures as object)).to.deep.equal(['slow.test'])
    expect(asked).to.equal(10)
  })
})
