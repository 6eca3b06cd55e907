import { expect } from 'chai'
import { forEachServerDatabase, startHomeserver } from '../../support/homeserver.js'
import {
  syncInvitedTo,
  syncJoinedTo,
  syncTimelineHasEventId,
  syncLeftFrom,
  eventsAt,
  dig,
} from '../../support/matrix-client.js'

forEachServerDatabase('a day in a room', (database) => {
  it('two people meet, talk, read and part', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const bob = await hs.register('bob')
    const room = await alice.createRoom({ preset: 'private_chat', name: 'Tea', invite: [bob.userId] })
    const since = await alice.mustSyncUntil(syncJoinedTo(room))
    let bobs = await bob.mustSyncUntil(syncInvitedTo(room))
    await bob.join(room)
    bobs = await bob.mustSyncUntil(syncJoinedTo(room), { since: bobs })
    await alice.mustSyncUntil(syncJoinedTo(room, bob.userId), { since })
    const hello = await alice.sendText(room, 'hello')
    bobs = await bob.mustSyncUntil(syncTimelineHasEventId(room, hello), { since: bobs })
    const quiet = await bob.sync({ since: bobs })
    expect(eventsAt(quiet, 'rooms', 'join', room, 'timeline', 'events')).to.deep.equal([])
    const waiting = bob.sync({ since: bobs, timeout: 20_000 })
    const again = await alice.sendText(room, 'are you there?')
    const woken = await waiting
    expect(
      eventsAt(woken, 'rooms', 'join', room, 'timeline', 'events').map((e) => e['event_id']),
    ).to.deep.equal([again])
    expect(dig(woken, 'rooms', 'join', room, 'unread_notifications', 'notification_count')).to.equal(2)
    const page = await bob.messages(room, { dir: 'b', limit: 2 })
    expect(eventsAt(page, 'chunk').map((e) => e['event_id'])).to.deep.equal([again, hello])
    await bob.leave(room)
    await bob.mustSyncUntil(syncLeftFrom(room), { since: bobs })
  })
})
