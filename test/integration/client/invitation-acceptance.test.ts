import { expect } from 'chai'
import { startFederation } from '../../support/federation.js'
import { forEachServerDatabase, startHomeserver } from '../../support/homeserver.js'
import { dig, path, syncInvitedTo, syncJoinedTo, type MatrixClient } from '../../support/matrix-client.js'

const auto_accept_invites = { enabled: true }

const directRooms = async (client: MatrixClient): Promise<unknown> =>
  client.must('GET', path`/_matrix/client/v3/user/${client.userId}/account_data/m.direct`)

forEachServerDatabase('invitations that are accepted for people', (database) => {
  it('are those of rooms and direct chats', async () => {
    await using hs = await startHomeserver({ database, config: { auto_accept_invites } })
    const [alice, bob] = [await hs.register('alice'), await hs.register('bob')]
    const roomId = await alice.createRoom({ preset: 'private_chat' })
    await alice.invite(roomId, bob.userId)
    await bob.mustSyncUntil(syncJoinedTo(roomId))
    const chat = await alice.createRoom({ preset: 'private_chat', is_direct: true, invite: [bob.userId] })
    await bob.mustSyncUntil(syncJoinedTo(chat))
    expect(await directRooms(bob)).to.deep.equal({ [alice.userId]: [chat] })
  })

  it('are not those that are not wanted', async () => {
    const config = { auto_accept_invites: { enabled: true, only_for_direct_messages: true } }
    await using hs = await startHomeserver({ database, config })
    const [alice, bob] = [await hs.register('alice'), await hs.register('bob')]
    const roomId = await alice.createRoom({ preset: 'private_chat', invite: [bob.userId] })
    const chat = await alice.createRoom({ preset: 'private_chat', is_direct: true, invite: [bob.userId] })
    const since = await bob.mustSyncUntil(syncJoinedTo(chat))
    expect(syncInvitedTo(roomId)(await bob.sync(), bob)).to.equal(true)
    expect(dig(await bob.sync({ since }), 'rooms', 'join', roomId)).to.equal(undefined)
  })
})

describe('a module that accepts invitations', () => {
  it('does what the server itself does', async () => {
    const config = { accept_invites_only_for_direct_messages: true }
    const modules = [{ module: 'synapse_auto_accept_invite.InviteAutoAccepter', config }]
    await using hs = await startHomeserver({ config: { modules } })
    const [alice, bob] = [await hs.register('alice'), await hs.register('bob')]
    const roomId = await alice.createRoom({ preset: 'private_chat', invite: [bob.userId] })
    const chat = await alice.createRoom({ preset: 'private_chat', is_direct: true, invite: [bob.userId] })
    await bob.mustSyncUntil(syncJoinedTo(chat))
    expect(syncInvitedTo(roomId)(await bob.sync(), bob)).to.equal(true)
  })
})

describe('invitations of other servers that are accepted for people', function () {
  this.timeout(30_000)

  it('are accepted once the other server has them in the room', async () => {
    await using servers = await startFederation(['a.test', 'b.test'], {
      configOf: { 'b.test': { auto_accept_invites } },
    })
    const [a, b] = servers.list
    const [alice, bob] = [await a!.register('alice'), await b!.register('bob')]
    const chat = await alice.createRoom({ preset: 'private_chat', is_direct: true, invite: [bob.userId] })
    await bob.mustSyncUntil(syncJoinedTo(chat))
    await alice.mustSyncUntil(syncJoinedTo(chat, bob.userId))
    expect(await directRooms(bob)).to.deep.equal({ [alice.userId]: [chat] })
  })
})
