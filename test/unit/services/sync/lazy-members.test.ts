import { expect } from 'chai'
import { LazyMembers } from '../../../../src/services/sync/lazy-members.js'
import type { DeviceId, UserId } from '../../../../src/protocol/ids.js'

const viewer = { userId: '@alice:hs.test' as UserId, deviceId: 'DEVICE' as DeviceId }
const BOB = '@bob:hs.test'

describe('LazyMembers', () => {
  let members: LazyMembers

  beforeEach(() => {
    members = new LazyMembers()
    members.begin(viewer, undefined, 10).add(1, BOB)
  })

  it('counts a member as sent once the device comes back with the token', () => {
    const next = members.begin(viewer, 10, 20)
    expect(next.has(1, BOB)).to.equal(true)
    expect(next.has(2, BOB)).to.equal(false)
    expect(next.has(1, '@carol:hs.test')).to.equal(false)
  })

  it('does not count what went with an answer that was lost', () => {
    expect(members.begin(viewer, 5, 20).has(1, BOB)).to.equal(false)
    // Not even when the device goes on from a later one that did not hold it.
    expect(members.begin(viewer, 20, 30).has(1, BOB)).to.equal(false)
  })

  it('counts it when it was sent again', () => {
    const again = members.begin(viewer, 5, 20)
    again.add(1, BOB)
    expect(again.has(1, BOB)).to.equal(true)
    expect(members.begin(viewer, 20, 30).has(1, BOB)).to.equal(true)
  })

  it('knows nothing of other devices, or when a device begins anew', () => {
    expect(members.begin({ ...viewer, deviceId: 'OTHER' as DeviceId }, 10, 20).has(1, BOB)).to.equal(false)
    expect(members.begin(viewer, undefined, 20).has(1, BOB)).to.equal(false)
    expect(members.begin(viewer, 20, 30).has(1, BOB)).to.equal(false)
  })

  it('remembers no more than it may', () => {
    const few = new LazyMembers({ max: 10 })
    const session = few.begin(viewer, undefined, 1)
    for (let room = 0; room < 20; room++) session.add(room, BOB)
    const next = few.begin(viewer, 1, 2)
    expect(next.has(0, BOB)).to.equal(false)
    expect(next.has(19, BOB)).to.equal(true)
  })

  it('begins anew with a device that loses answer after answer', () => {
    for (let position = 11; position < 50; position++) {
      const session = members.begin(viewer, 10, position)
      session.add(2, `@user${position}:hs.test`)
    }
    expect(members.begin(viewer, 10, 60).has(2, '@user48:hs.test')).to.equal(false)
  })
})
