import { expect } from 'chai'
import type { ServerName } from '../../../../src/protocol/ids.js'
import { EarlyDeviceUpdates } from '../../../../src/services/federation/early-device-updates.js'

const SERVER = 'b.test' as ServerName
const BOB = '@bob:b.test'

describe('EarlyDeviceUpdates', () => {
  function build() {
    const known = new Set<string>()
    const [taken, early]: [string[], string[]] = [[], []]
    const state = { isPartial: true }
    const updates = new EarlyDeviceUpdates({
      deviceLists: {
        onDeviceListUpdate: (_origin, { user_id: userId }) => {
          if (!known.has(userId as string)) return Promise.resolve('stranger')
          taken.push(userId as string)
          return Promise.resolve('taken')
        },
        recordEarlyChanges: (userIds) => {
          const members = userIds.filter((userId) => known.has(userId))
          early.push(...members)
          return Promise.resolve(new Set(members))
        },
      },
      partialRooms: { isAnyPartial: () => state.isPartial },
    })
    return { known, taken, early, state, updates }
  }

  it('tells of strangers once they are known as members, each once', async () => {
    const { known, taken, early, state, updates } = build()
    await updates.onDeviceListUpdate(SERVER, { user_id: BOB, device_id: 'A', stream_id: 5 })
    await updates.onDeviceListUpdate(SERVER, { user_id: BOB, device_id: 'B', stream_id: 6 })
    await updates.onDeviceListUpdate(SERVER, { user_id: '@eve:b.test', device_id: 'E' })
    await updates.onMembersKnown()
    expect([taken, early]).to.deep.equal([[], []])
    known.add(BOB)
    state.isPartial = false
    await updates.onMembersKnown()
    known.add('@eve:b.test')
    await updates.onMembersKnown()
    expect([taken, early]).to.deep.equal([[], [BOB]])
  })

  it('keeps nothing where all members of all rooms are known, nor of members', async () => {
    const { known, taken, early, state, updates } = build()
    state.isPartial = false
    await updates.onDeviceListUpdate(SERVER, { user_id: BOB, device_id: 'A' })
    known.add(BOB)
    state.isPartial = true
    await updates.onDeviceListUpdate(SERVER, { user_id: BOB, device_id: 'A' })
    await updates.onMembersKnown()
    expect([taken, early]).to.deep.equal([[BOB], []])
  })
})
