import { expect } from 'chai'
import {
  dig,
  eventsAt,
  syncInvitedTo,
  syncJoinedTo,
  syncLeftFrom,
  type MatrixClient,
} from '../../support/matrix-client.js'
import { startFederation, type TestFederation } from '../../support/federation.js'

/** The first version, and those with other event IDs, other redactions, and other rooms' IDs. */
const VERSIONS = ['1', '6', '11', '12']

describe('memberships between two servers', function () {
  this.timeout(30_000)
  let servers: TestFederation
  let alice: MatrixClient
  let bob: MatrixClient

  before(async () => {
    servers = await startFederation(['a.test', 'b.test'])
    alice = await servers.get('a.test').register('alice')
    bob = await servers.get('b.test').register('bob')
  })
  after(async () => {
    await servers[Symbol.asyncDispose]()
  })

  it('joins a room that is on the other server', async () => {
    const roomId = await alice.createRoom({ preset: 'public_chat', name: 'Cats' })
    await alice.sendText(roomId, 'before')
    expect(await bob.join(roomId, { via: ['a.test'] })).to.equal(roomId)
    await bob.mustSyncUntil(syncJoinedTo(roomId))
    await alice.mustSyncUntil(syncJoinedTo(roomId, bob.userId))
    expect(await bob.state(roomId, 'm.room.name')).to.deep.equal({ name: 'Cats' })
    expect(dig(await bob.state(roomId, 'm.room.member', alice.userId), 'membership')).to.equal('join')
    expect(dig(await alice.state(roomId, 'm.room.member', bob.userId), 'membership')).to.equal('join')
    await bob.sendText(roomId, 'after')
  })

  for (const version of VERSIONS) {
    it(`accepts an invitation to a room of version ${version}`, async () => {
      const roomId = await alice.createRoom({ preset: 'private_chat', room_version: version, name: 'Dogs' })
      await alice.invite(roomId, bob.userId)
      await bob.mustSyncUntil(syncInvitedTo(roomId))
      const invite = eventsAt(await bob.sync(), 'rooms', 'invite', roomId, 'invite_state', 'events')
      expect(invite.map(({ type }) => type)).to.include.members([
        'm.room.create',
        'm.room.name',
        'm.room.member',
      ])
      expect(await bob.join(roomId)).to.equal(roomId)
      await alice.mustSyncUntil(syncJoinedTo(roomId, bob.userId))
    })

    it(`declines invitations to a room of version ${version}`, async () => {
      const roomId = await alice.createRoom({
        preset: 'private_chat',
        room_version: version,
        invite: [bob.userId],
      })
      for (let round = 0; round < 2; round++) {
        if (round > 0) await alice.invite(roomId, bob.userId)
        const since = await bob.mustSyncUntil(syncInvitedTo(roomId))
        await bob.leave(roomId)
        await bob.mustSyncUntil(syncLeftFrom(roomId), { since })
        expect(dig(await alice.state(roomId, 'm.room.member', bob.userId), 'membership')).to.equal('leave')
      }
    })
  }
})
