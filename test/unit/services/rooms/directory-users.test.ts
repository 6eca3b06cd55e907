import { expect } from 'chai'
import type { ServerName, UserId } from '../../../../src/protocol/ids.js'
import { DirectoryUsers } from '../../../../src/services/rooms/directory-users.js'
import { UserDirectory } from '../../../../src/services/rooms/user-directory.js'
import type { Database } from '../../../../src/storage/database.js'
import { ProfilesStore } from '../../../../src/storage/stores/profiles.js'
import { UserDirectoryStore } from '../../../../src/storage/stores/user-directory.js'
import { forEachDatabase } from '../../../support/databases.js'
import { createEventFixture } from '../../../support/event-services.js'

const ALICE = '@alice:hs.test' as UserId
const BOB = '@bob:hs.test' as UserId
const CAROL = '@carol:other.test' as UserId
const [OPEN, CLOSED] = [1, 2]

/** People of other servers are known by their memberships alone, whichever way these have come. */
forEachDatabase('DirectoryUsers', (open) => {
  let db: Database
  let directory: UserDirectory
  let position: number

  beforeEach(async () => {
    const fixture = await createEventFixture(await open())
    ;({ db } = fixture)
    position = 0
    const userDirectory = new UserDirectoryStore()
    const entries = new DirectoryUsers({
      ...fixture.stores,
      db,
      clock: fixture.clock,
      userDirectory,
      profiles: new ProfilesStore(),
      eventStream: { position: () => position },
      serverName: 'hs.test' as ServerName,
      onError: (error) => {
        throw error
      },
    })
    const options = {
      searchAllUsers: false,
      preferLocalUsers: false,
      excludeRemoteUsers: false,
      showLockedUsers: false,
    }
    directory = new UserDirectory({ db, userDirectory, entries, options })
    await join(ALICE, CLOSED, undefined)
    await db.write('open', (tx) => userDirectory.setOpen(tx, { open: [OPEN], closed: [] }))
  })

  async function join(
    userId: UserId,
    roomNid: number,
    name: string | undefined,
    membership = 'join',
  ): Promise<void> {
    position += 1
    const isLocal = userId.endsWith(':hs.test') ? 1 : 0
    await db.write('join', async (tx) => {
      await tx.execute(
        `INSERT INTO room_members (room_nid, user_id, membership, event_nid, stream_ordering, sender, display_name, is_local)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (room_nid, user_id) DO UPDATE SET
           membership = excluded.membership, display_name = excluded.display_name, stream_ordering = excluded.stream_ordering`,
        [roomNid, userId, membership, position, position, userId, name ?? null, isLocal],
      )
      await tx.execute(
        `INSERT INTO current_state_deltas (stream_ordering, room_nid, type, state_key) VALUES (?, ?, 'm.room.member', ?)`,
        [position, roomNid, userId],
      )
    })
  }

  const find = async (term: string): Promise<unknown[]> =>
    (await directory.search(ALICE, term, 10)).users.map(({ userId, displayName }) => [userId, displayName])

  it('finds people of other servers by name and ID', async () => {
    await join(CAROL, CLOSED, 'Carol Danvers')
    expect(await find('danv')).to.deep.equal([[CAROL, 'Carol Danvers']])
    expect(await find(CAROL)).to.deep.equal([[CAROL, 'Carol Danvers']])
    await join(CAROL, CLOSED, 'Captain')
    expect(await find('danv')).to.deep.equal([])
    expect(await find('capt')).to.deep.equal([[CAROL, 'Captain']])
  })

  it('shows the name that everybody may see before one that only some may', async () => {
    await join(CAROL, OPEN, 'Carol Public')
    await join(CAROL, CLOSED, 'Carol Private')
    expect(await find('carol')).to.deep.equal([[CAROL, 'Carol Public']])
    await join(CAROL, OPEN, undefined, 'leave')
    expect(await find('carol')).to.deep.equal([[CAROL, 'Carol Private']])
  })

  it('forgets those who are nowhere any more', async () => {
    await join(CAROL, CLOSED, 'Carol')
    expect(await find('carol')).to.have.length(1)
    await join(CAROL, CLOSED, undefined, 'leave')
    expect(await find('carol')).to.deep.equal([])
    const left = await db.reader.all('SELECT * FROM directory_terms WHERE user_id = ?', [CAROL])
    expect(left).to.deep.equal([])
  })

  it('does not show who was in an open room when everybody of this server left it', async () => {
    await join(CAROL, OPEN, 'Carol')
    await join(BOB, OPEN, 'Bob')
    expect(await find('carol')).to.have.length(1)
    await join(BOB, OPEN, undefined, 'leave')
    expect(await find('carol')).to.deep.equal([])
  })

  it('takes names that cannot be stored as they are', async () => {
    await join(CAROL, CLOSED, `Carol ${'x'.repeat(5000)}`)
    expect(await find('carol')).to.have.length(1)
  })
})
