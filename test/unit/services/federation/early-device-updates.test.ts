import { expect } from 'chai'
import type { ServerName } from '../../../../src/protocol/ids.js'
import { EarlyDeviceUpdates } from '../../../../src/services/federation/early-device-updates.js'
import type { JsonObject } from '../../../../src/util/json.js'

const SERVER = 'b.test' as ServerName
const BOB = '@bob:b.test'

describe('EarlyDeviceUpdates', () => {
  function build() {
    const known = new Set<string>()
    const taken: JsonObject[] = []
    const state = { isPartial: true, position: 1, completedAt: 0 }
    const updates = new EarlyDeviceUpdates({
      deviceLists: {
        onDeviceListUpdate: (_origin, content) => {
          if (!known.has(content['user_id'] as string)) return Promise.resolve('stranger')
          taken.push(content)
          return Promise.resolve('taken')
        },
      },
      partialRooms: {
        isAnyPartial: () => state.isPartial,
        completedBetween: (after, upTo) =>
          state.completedAt > after && state.completedAt <= upTo ? [1] : [],
      },
      eventStream: { position: () => state.position },
      onError: (error) => expect.fail(String(error)),
    })
    updates.start()
    const complete = async (): Promise<void> => {
      state.completedAt = ++state.position
      updates.onNewPosition('events')
      await updates.stop()
    }
    return { known, taken, state, updates, complete }
  }

  it('tells again of strangers once they are known as members', async () => {
    const { known, taken, state, updates, complete } = build()
    await updates.onDeviceListUpdate(SERVER, { user_id: BOB, device_id: 'A', stream_id: 5, keys: {} })
    await updates.onDeviceListUpdate(SERVER, { user_id: '@eve:b.test', device_id: 'E' })
    expect(taken).to.deep.equal([])
    known.add(BOB)
    state.isPartial = false
    await complete()
    expect(taken).to.deep.equal([{ user_id: BOB, device_id: 'A' }])
  })

  it('keeps nothing where all members of all rooms are known', async () => {
    const { known, taken, state, updates, complete } = build()
    state.isPartial = false
    await updates.onDeviceListUpdate(SERVER, { user_id: BOB, device_id: 'A' })
    known.add(BOB)
    await complete()
    expect(taken).to.deep.equal([])
  })

  it('tells of members once', async () => {
    const { known, taken, updates, complete } = build()
    known.add(BOB)
    await updates.onDeviceListUpdate(SERVER, { user_id: BOB, device_id: 'A' })
    await complete()
    expect(taken).to.have.length(1)
  })
})
