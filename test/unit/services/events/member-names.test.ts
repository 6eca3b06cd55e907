import { expect } from 'chai'
import type { UserId } from '../../../../src/protocol/ids.js'
import { getRoomVersionRules } from '../../../../src/protocol/room-versions.js'
import { MemberNames } from '../../../../src/services/events/member-names.js'
import { CacheRegistry } from '../../../../src/storage/cache-registry.js'
import { RoomMembersStore } from '../../../../src/storage/stores/room-members.js'
import type { RoomRecord } from '../../../../src/storage/stores/rooms.js'
import { createMetrics } from '../../../../src/telemetry/metrics.js'
import { forEachDatabase } from '../../../support/databases.js'
import { RoomRows } from '../../../support/room-rows.js'

const ALICE = '@alice:hs.test' as UserId
const BOB = '@bob:hs.test' as UserId

forEachDatabase('MemberNames', (open) => {
  let rows: RoomRows
  let room: RoomRecord
  let names: MemberNames
  before(async () => {
    const db = await open()
    rows = await RoomRows.create(db)
    room = {
      roomNid: rows.roomNid,
      roomId: rows.roomId,
      rules: getRoomVersionRules('11')!,
      creator: ALICE,
      roomType: undefined,
    }
    await rows.setMembership(ALICE, 'join', { displayName: 'The Queen' })
    names = new MemberNames({
      db,
      members: new RoomMembersStore(),
      caches: new CacheRegistry(createMetrics()),
    })
  })

  it('finds localparts and display names of members of this server', async () => {
    expect(await names.find(room, 'alice, the queen')).to.have.deep.members([
      { userId: ALICE, by: 'localpart' },
      { userId: ALICE, by: 'displayName' },
    ])
    expect(await names.find(room, 'nobody')).to.deep.equal([])
  })

  it('learns of new members and of those who leave', async () => {
    expect(await names.find(room, 'hi bob')).to.deep.equal([])
    await rows.setMembership(BOB, 'join')
    names.onNewPosition('events', { rooms: [room.roomId], users: [BOB] })
    expect(await names.find(room, 'hi bob')).to.deep.equal([{ userId: BOB, by: 'localpart' }])
    await rows.setMembership(BOB, 'leave')
    names.onNewPosition('events', { rooms: [room.roomId], users: [BOB] })
    expect(await names.find(room, 'hi bob')).to.deep.equal([])
  })
})
