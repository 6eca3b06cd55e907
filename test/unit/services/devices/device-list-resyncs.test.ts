import { expect } from 'chai'
import { serverNameOf, type UserId } from '../../../../src/protocol/ids.js'
import { DeviceListResyncs } from '../../../../src/services/devices/device-list-resyncs.js'
import { FederationError } from '../../../../src/services/remote/federation-error.js'
import { nextTurn } from '../../../../src/util/clock.js'
import { createDeferred } from '../../../../src/util/deferred.js'
import { ManualClock } from '../../../support/manual-clock.js'

describe('DeviceListResyncs', () => {
  function build() {
    const slow = createDeferred<undefined>()
    const asked: UserId[] = []
    const errors: unknown[] = []
    const resyncs = new DeviceListResyncs({
      db: { reader: {} } as never,
      clock: new ManualClock(),
      remoteDevices: { listStale: () => Promise.resolve([]), listStaleOf: () => Promise.resolve([]) },
      deviceLists: {
        fetch: async (userId) => {
          asked.push(userId)
          if (serverNameOf(userId) === 'slow.test') await slow.promise
          if (userId.startsWith('@down')) throw new FederationError(serverNameOf(userId), 'unreachable', 'no')
        },
        refetch: () => Promise.resolve(),
      },
      destinations: { filterReachable: () => Promise.resolve([]), onAlive: () => () => undefined },
      onError: (error) => errors.push(error),
    })
    return { slow, asked, errors, resyncs }
  }

  it('lets no server hold up the lists of others', async () => {
    const { slow, asked, errors, resyncs } = build()
    for (let index = 0; index < 2_000; index++) resyncs.onStale(`@u${index}:slow.test` as UserId)
    resyncs.onStale('@alice:a.test' as UserId)
    resyncs.onStale('@down:b.test' as UserId)
    await nextTurn()
    expect(asked).to.deep.equal(['@u0:slow.test', '@alice:a.test', '@down:b.test'])
    slow.resolve(undefined)
    await resyncs.stop()
    expect(errors).to.deep.equal([])
  })

  it('asks for all users of a server, one after the other', async () => {
    const { slow, asked, resyncs } = build()
    const users = ['@a:slow.test', '@b:slow.test', '@c:slow.test'] as UserId[]
    for (const userId of [...users, ...users]) resyncs.onStale(userId)
    slow.resolve(undefined)
    for (let turn = 0; turn < 5; turn++) await nextTurn()
    expect(asked).to.deep.equal(users)
    resyncs.onStale(users[0]!)
    await nextTurn()
    expect(asked).to.have.length(4)
    await resyncs.stop()
  })
})
