import { expect } from 'chai'
import type { UserId } from '../../../../src/protocol/ids.js'
import type { AccountSelection } from '../../../../src/storage/stores/account-listing.js'
import type { RoomQuery } from '../../../../src/services/administration/room-overviews.js'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../../support/homeserver.js'

const PAGE = { orderBy: 'userId', isDescending: false, from: 0, limit: 10 } as const
const ROOMS: RoomQuery = { orderBy: 'name', isDescending: false, from: 0, limit: 10 }

forEachServerDatabase('AccountOverviews and RoomOverviews', (database) => {
  let server: TestHomeserver

  before(async () => {
    server = await startHomeserver({ database })
    const alice = await server.register('alice', { isAdmin: true })
    const bob = await server.register('bob')
    await server.register('mallory')
    const { accountAdministration } = server.server.services
    await accountAdministration.setFlag('@bob:hs.test' as UserId, 'isLocked', true)
    await accountAdministration.deactivate('@mallory:hs.test' as UserId, { erase: false })
    const room = await alice.createRoom({ name: 'Beta_1', preset: 'public_chat' })
    await alice.createRoom({ name: 'alpha', preset: 'private_chat' })
    const redacted = await alice.createRoom({})
    const name = await alice.sendState(redacted, 'm.room.name', '', { name: 'Nothing to see' })
    await alice.redact(redacted, name)
    await accountAdministration.setFlag('@bob:hs.test' as UserId, 'isLocked', false)
    await bob.join(room)
    await accountAdministration.setFlag('@bob:hs.test' as UserId, 'isLocked', true)
  })
  after(() => server[Symbol.asyncDispose]())

  async function names(selection: AccountSelection, page: object = {}): Promise<string[]> {
    const { accountOverviews } = server.server.services
    const { accounts } = await accountOverviews.list(selection, { ...PAGE, ...page })
    return accounts.map(({ userId }) => userId.slice(1).split(':')[0]!)
  }

  async function rooms(query: Partial<RoomQuery>): Promise<(string | undefined)[]> {
    const { rooms: found } = await server.server.services.roomOverviews.list({ ...ROOMS, ...query })
    return found.map(({ name }) => name)
  }

  it('find accounts by all that is said of them', async () => {
    expect(await names({})).to.deep.equal(['alice', 'bob', 'mallory'])
    expect(await names({ isAdmin: true })).to.deep.equal(['alice'])
    expect(await names({ isLocked: true })).to.deep.equal(['bob'])
    expect(await names({ isDeactivated: true })).to.deep.equal(['mallory'])
    expect(await names({ isDeactivated: false, isGuest: false })).to.deep.equal(['alice', 'bob'])
    expect(await names({ search: 'L' })).to.deep.equal(['alice', 'mallory'])
    expect(await names({ searchUserId: '_b' })).to.deep.equal([])
    expect(await names({ userTypes: ['bot'] })).to.deep.equal([])
    expect(await names({ exceptUserTypes: ['bot', 'support'] })).to.deep.equal(['alice', 'bob', 'mallory'])
    expect(await names({ ofAppservices: true })).to.deep.equal([])
    expect(await names({}, { isDescending: true, limit: 1, from: 1 })).to.deep.equal(['bob'])
  })

  it('sort accounts by everything that they can be sorted by', async () => {
    for (const orderBy of ['createdTs', 'lastSeenTs', 'displayName', 'avatarUrl', 'isAdmin', 'userType']) {
      for (const isDescending of [true, false]) {
        expect(await names({}, { orderBy, isDescending }), orderBy).to.have.length(3)
      }
    }
    expect(await names({}, { orderBy: 'isAdmin', isDescending: true })).to.deep.equal([
      'alice',
      'bob',
      'mallory',
    ])
  })

  it('tell what an account has', async () => {
    const bob = await server.server.services.accountOverviews.show('@bob:hs.test' as UserId)
    expect(bob).to.deep.include({ isLocked: true, rooms: { join: 1 }, pushers: 0, crossSigningKeys: [] })
    expect(bob.devices).to.have.length(1)
    expect(bob.media).to.deep.equal({ files: 0, bytes: 0 })
  })

  it('list sign-ups with their rooms', async () => {
    const signUps = await server.server.services.accountOverviews.listSignUps(0, {
      withAppservices: true,
      limit: 10,
    })
    expect(
      signUps.map(({ userId, publicRooms, privateRooms }) => [userId, publicRooms + privateRooms]),
    ).to.deep.equal([
      ['@alice:hs.test', 3],
      ['@bob:hs.test', 1],
      ['@mallory:hs.test', 0],
    ])
  })

  it('find and sort rooms; what was redacted is not told', async () => {
    expect(await rooms({})).to.deep.equal([undefined, 'alpha', 'Beta_1'])
    expect(await rooms({ isDescending: true })).to.deep.equal(['Beta_1', 'alpha', undefined])
    expect(await rooms({ search: 'BETA' })).to.deep.equal(['Beta_1'])
    expect(await rooms({ search: 'nothing to see' })).to.deep.equal([])
    expect(await rooms({ orderBy: 'joinedMembers', isDescending: true, limit: 1 })).to.deep.equal(['Beta_1'])
    expect(await rooms({ orderBy: 'localMembers', isDescending: true, limit: 1 })).to.deep.equal(['Beta_1'])
    expect(await rooms({ orderBy: 'joinRule', isDescending: true, limit: 1 })).to.deep.equal(['Beta_1'])
    expect(await rooms({ orderBy: 'events', isDescending: true })).to.have.length(3)
    expect(await rooms({ isEmpty: true })).to.deep.equal([])
    expect(await rooms({ from: 2 })).to.deep.equal(['Beta_1'])
  })

  it('tell what is in a room', async () => {
    const { roomOverviews } = server.server.services
    const { rooms: found } = await roomOverviews.list({ ...ROOMS, search: 'Beta' })
    const room = await roomOverviews.show(found[0]!.roomId)
    expect(room.members).to.deep.equal({ join: 2 })
    expect(room.stateTypes['m.room.member']).to.equal(2)
    expect(room.eventCounts).to.deep.include({ total: room.events, outliers: 0, rejected: 0, backfilled: 0 })
    expect(room.eventCounts.bytes).to.be.greaterThan(1000)
    expect(room.snapshots.snapshots).to.be.greaterThan(3)
    expect(room.ends).to.have.length(1)
  })
})
