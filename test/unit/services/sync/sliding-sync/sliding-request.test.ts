import { expect } from 'chai'
import type { UserId } from '../../../../../src/protocol/ids.js'
import {
  combineConfigs,
  parseSlidingBody,
  type RoomConfig,
} from '../../../../../src/services/sync/sliding-sync/sliding-request.js'

describe('a body of sliding sync', () => {
  it('has required state that is the same once, and once what it is together with that of a list', () => {
    const config = { timeline_limit: 1, required_state: [['m.room.topic', '']] }
    const { lists, subscriptions } = parseSlidingBody(
      {
        lists: { all: { timeline_limit: 1, required_state: [['m.room.name', '']] } },
        room_subscriptions: {
          '!a:hs.test': config,
          '!b:hs.test': { ...config, timeline_limit: 5 },
          '!c:hs.test': { timeline_limit: 1, required_state: [['m.room.topic', 'other']] },
        },
      },
      '@me:hs.test' as UserId,
    )
    const [a, b, c] = [...subscriptions.values()] as [RoomConfig, RoomConfig, RoomConfig]
    expect(b.requiredState).to.equal(a.requiredState)
    expect(c.requiredState).to.not.equal(a.requiredState)
    const list = lists.get('all')
    const [withA, withB, withC] = [a, b, c].map((one) => combineConfigs(list, one))
    expect(withA?.timelineLimit).to.equal(1)
    expect(withB?.timelineLimit).to.equal(5)
    expect(withB?.requiredState).to.equal(withA?.requiredState)
    expect(withA?.requiredState.matches('m.room.topic', '')).to.equal(true)
    expect(withC?.requiredState.matches('m.room.topic', '')).to.equal(false)
    expect(withC?.requiredState.matches('m.room.topic', 'other')).to.equal(true)
  })
})
