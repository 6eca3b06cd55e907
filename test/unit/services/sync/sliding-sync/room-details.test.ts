import { expect } from 'chai'
import type { RoomId, UserId } from '../../../../../src/protocol/ids.js'
import { UNTOLD } from '../../../../../src/services/sync/sliding-sync/connection.js'
import { RequiredState } from '../../../../../src/services/sync/sliding-sync/required-state.js'
import {
  RoomDetails,
  type DetailRequest,
} from '../../../../../src/services/sync/sliding-sync/room-details.js'
import { hasNews, roomJson, stateJson } from '../../../../../src/services/sync/sliding-sync/room-json.js'
import type { RoomPlan } from '../../../../../src/services/sync/sliding-sync/room-plan.js'
import type { Database } from '../../../../../src/storage/database.js'
import { LIVE } from '../../../../../src/storage/stores/sliding-sync.js'

const ME = '@me:hs.test' as UserId
const NO_SUMMARIES = { counts: new Map(), heroes: new Map(), unread: new Map(), bumps: new Map() }

function planOf(fields: Partial<RoomPlan>): RoomPlan {
  const requiredState = RequiredState.of([['m.room.member', '$ME']], ME)
  const config = { timelineLimit: 5, requiredState }
  return {
    room: { roomNid: 1, roomId: '!a:hs.test' as RoomId } as RoomPlan['room'],
    roomNid: 1,
    roomId: '!a:hs.test' as RoomId,
    membership: 'join',
    eventNid: 7,
    streamOrdering: 7,
    activity: 9,
    config,
    memory: { ...UNTOLD, sent: LIVE, ...config },
    after: 8,
    isExpanded: false,
    isDm: false,
    isReadOn: false,
    upTo: 9,
    ...fields,
  }
}

describe('RoomDetails', () => {
  it('say that a membership is no more which the state was resolved without', async () => {
    const nothing = (): Promise<Map<number, never>> => Promise.resolve(new Map<number, never>())
    const parts = {
      stays: { listLast: nothing },
      events: { getByNids: nothing },
      states: { load: nothing },
    }
    const details = new RoomDetails(
      {} as Database,
      parts as unknown as ConstructorParameters<typeof RoomDetails>[1],
    )
    const request: Partial<DetailRequest> = {
      viewer: { userId: ME, deviceId: undefined },
      ignored: new Set(),
      upTo: 9,
    }
    const plan = planOf({ membership: 'leave', eventNid: 0, streamOrdering: 9 })
    const [detail] = await details.load([plan], request as DetailRequest)
    expect(hasNews(detail!)).to.equal(true)
    expect(roomJson(detail!, NO_SUMMARIES)).to.include({ membership: 'leave' })
    expect(stateJson(detail!, [])).to.deep.equal({
      required_state: [{ type: 'm.room.member', state_key: ME }],
    })
  })
})

describe('roomJson', () => {
  it('says where a room stands among others, and lets it stay there while nothing else is known', () => {
    const detail = (after: number | undefined): Parameters<typeof roomJson>[0] => ({
      plan: planOf({ after }),
      timeline: { events: [], limited: true, prevBatch: 's1' },
      state: [],
      removed: [],
      name: { isChanged: false, event: undefined },
      avatar: { isChanged: false, event: undefined },
      membersChanged: false,
      followed: RequiredState.none,
    })
    expect(roomJson(detail(undefined), NO_SUMMARIES)).to.include({ bump_stamp: 7 })
    expect(roomJson(detail(8), NO_SUMMARIES)).to.not.have.property('bump_stamp')
    const bumps = new Map([[1, 5]])
    expect(roomJson(detail(8), { ...NO_SUMMARIES, bumps })).to.include({ bump_stamp: 5 })
  })
})
