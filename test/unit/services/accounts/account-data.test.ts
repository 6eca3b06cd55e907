import { expect } from 'chai'
import type { RoomId } from '../../../../src/protocol/ids.js'
import { createAccountServices, type AccountFixture } from '../../../support/account-services.js'
import { forEachDatabase } from '../../../support/databases.js'
import { rejection } from '../../../support/rejection.js'

forEachDatabase('account data and tags', (open) => {
  const ROOM = '!room:hs.test' as RoomId
  const OTHER_ROOM = '!other:hs.test' as RoomId
  let fixture: AccountFixture

  beforeEach(async () => {
    fixture = await createAccountServices(await open())
  })

  it('keeps data of the user and of their rooms apart', async () => {
    const { userId, requester } = await fixture.createUser('alice')
    const { accountData } = fixture.services
    await accountData.put(requester, userId, { roomId: undefined, type: 'a.type', content: { n: 1 } })
    await accountData.put(requester, userId, { roomId: ROOM, type: 'a.type', content: { n: 2 } })
    await accountData.put(requester, userId, { roomId: ROOM, type: 'a.type', content: { n: 3 } })
    expect(await accountData.get(requester, userId, undefined, 'a.type')).to.deep.equal({ n: 1 })
    expect(await accountData.get(requester, userId, ROOM, 'a.type')).to.deep.equal({ n: 3 })
    for (const [roomId, type] of [
      [OTHER_ROOM, 'a.type'],
      [undefined, 'other'],
      [undefined, 'constructor'],
    ] as const) {
      const error = await rejection(accountData.get(requester, userId, roomId, type))
      expect(error).to.have.property('errcode', 'M_NOT_FOUND')
    }
  })

  it('keeps what is empty, and removes nothing, unless that is switched on', async () => {
    const { userId, requester } = await fixture.createUser('alice')
    const { accountData } = fixture.services
    await accountData.put(requester, userId, { roomId: undefined, type: 'a.type', content: {} })
    expect(await accountData.get(requester, userId, undefined, 'a.type')).to.deep.equal({})
    const error = await rejection(
      accountData.remove(requester, userId, { roomId: undefined, type: 'a.type' }),
    )
    expect(error).to.have.property('errcode', 'M_UNRECOGNIZED')
  })

  for (const roomId of [undefined, ROOM]) {
    for (const byPut of [true, false]) {
      it(`removes data ${roomId ? 'of rooms ' : ''}${byPut ? 'that becomes empty' : 'for good'}`, async () => {
        fixture = await createAccountServices(fixture.db, { accountDataRemoval: true })
        const { userId, requester } = await fixture.createUser('remover')
        const { accountData } = fixture.services
        const store = fixture.stores.accountData
        const q = fixture.db.reader
        const entry = { roomId, type: 'a.type', content: { n: 1 } }
        await accountData.put(requester, userId, entry)
        const before = await fixture.db.reader.first<{ id: number }>(
          'SELECT MAX(stream_id) AS id FROM account_data',
        )
        if (byPut) await accountData.put(requester, userId, { ...entry, content: {} })
        else await accountData.remove(requester, userId, entry)
        const error = await rejection(accountData.get(requester, userId, roomId, 'a.type'))
        expect(error).to.have.property('errcode', 'M_NOT_FOUND')
        const range = { from: before?.id ?? 0, to: Number.MAX_SAFE_INTEGER }
        const changes = roomId
          ? await store.listRoomChanges(q, userId, range)
          : await store.listGlobalChanges(q, userId, range)
        expect(changes).to.deep.equal([{ ...entry, content: {} }])
        expect(await store.getAll(q, userId)).to.deep.equal([])
        const told = fixture.positions.length
        await accountData.remove(requester, userId, entry)
        expect(fixture.positions).to.have.length(told)
        await accountData.put(requester, userId, entry)
        expect(await accountData.get(requester, userId, roomId, 'a.type')).to.deep.equal({ n: 1 })
      })
    }
  }

  it('forgets what was set for devices with them', async () => {
    const { userId, requester, deviceId } = await fixture.createUser('alice')
    const { accountData, devices } = fixture.services
    const types = ['m.local_notification_settings', 'org.matrix.msc3890.local_notification_settings'].map(
      (prefix) => `${prefix}.${deviceId}`,
    )
    for (const type of [...types, 'm.local_notification_settings.OTHER']) {
      await accountData.put(requester, userId, { roomId: undefined, type, content: { is_silenced: true } })
    }
    await devices.delete(userId, [deviceId])
    const left = await fixture.stores.accountData.getAllGlobal(fixture.db.reader, userId)
    expect(left.map(({ type }) => type)).to.deep.equal(['m.local_notification_settings.OTHER'])
  })

  it('lists what changed in a range of the stream', async () => {
    const { userId, requester } = await fixture.createUser('alice')
    const { accountData } = fixture.services
    const position = async (): Promise<number> => {
      const row = await fixture.db.reader.first<{ id: number }>(
        'SELECT COALESCE(MAX(stream_id), 0) AS id FROM account_data',
      )
      return row?.id ?? 0
    }
    const from = await position()
    await accountData.put(requester, userId, { roomId: undefined, type: 'one', content: {} })
    await accountData.put(requester, userId, { roomId: ROOM, type: 'two', content: {} })
    const to = await position()
    await accountData.put(requester, userId, { roomId: undefined, type: 'three', content: {} })
    const q = fixture.db.reader
    const store = fixture.stores.accountData
    const types = (entries: { type: string }[]) => entries.map(({ type }) => type)
    expect(types(await store.listGlobalChanges(q, userId, { from, to }))).to.deep.equal(['one'])
    expect(types(await store.listRoomChanges(q, userId, { from, to }))).to.deep.equal(['two'])
    expect(types(await store.listGlobalChanges(q, userId, { from: to, to: await position() }))).to.deep.equal(
      ['three'],
    )
    expect(await store.listGlobalChanges(q, userId, { from: to, to })).to.deep.equal([])
    expect(types(await store.getAllGlobal(q, userId))).to.have.members(['one', 'three'])
    expect(fixture.positions).to.deep.include({ stream: 'account_data', hints: { users: [userId] } })
  })

  it('lets nobody write what the server manages, or read and write what is of others', async () => {
    const { userId, requester } = await fixture.createUser('alice')
    const { requester: bob } = await fixture.createUser('bob')
    const { accountData } = fixture.services
    for (const type of ['m.fully_read', 'm.push_rules']) {
      for (const roomId of [undefined, ROOM]) {
        const error = await rejection(accountData.put(requester, userId, { roomId, type, content: {} }))
        expect(error).to.include({ errcode: 'M_BAD_JSON', status: 405 })
      }
    }
    const attempts = [
      accountData.put(bob, userId, { roomId: undefined, type: 'a', content: {} }),
      accountData.get(bob, userId, undefined, 'a'),
      accountData.getTags(bob, userId, ROOM),
      accountData.setTag(bob, { userId, roomId: ROOM }, { tag: 'u.x', content: {} }),
      accountData.deleteTag(bob, { userId, roomId: ROOM }, 'u.x'),
    ]
    for (const attempt of attempts)
      expect(await rejection(attempt)).to.have.property('errcode', 'M_FORBIDDEN')
  })

  it('refuses what is too large', async () => {
    const { userId, requester } = await fixture.createUser('alice')
    const { accountData } = fixture.services
    const content = { text: 'x'.repeat(512 * 1024) }
    const large = await rejection(
      accountData.put(requester, userId, { roomId: undefined, type: 'a', content }),
    )
    expect(large).to.have.property('errcode', 'M_TOO_LARGE')
    const type = 'x'.repeat(256)
    const long = await rejection(accountData.put(requester, userId, { roomId: undefined, type, content: {} }))
    expect(long).to.have.property('errcode', 'M_INVALID_PARAM')
    const tag = 'x'.repeat(256)
    const room = { userId, roomId: ROOM }
    const longTag = await rejection(accountData.setTag(requester, room, { tag, content: {} }))
    expect(longTag).to.have.property('errcode', 'M_INVALID_PARAM')
  })

  it('keeps tags as the account data that clients see', async () => {
    const { userId, requester } = await fixture.createUser('alice')
    const { accountData } = fixture.services
    const room = { userId, roomId: ROOM }
    expect(await accountData.getTags(requester, userId, ROOM)).to.deep.equal({})
    const tags = ['m.favourite', 'u.work', '__proto__']
    await Promise.all(
      tags.map((tag, index) => accountData.setTag(requester, room, { tag, content: { order: index / 10 } })),
    )
    expect(Object.keys(await accountData.getTags(requester, userId, ROOM))).to.have.members(tags)
    await accountData.deleteTag(requester, room, 'u.work')
    await accountData.deleteTag(requester, room, 'u.unknown')
    const content = await accountData.get(requester, userId, ROOM, 'm.tag')
    expect(Object.keys(content['tags'] ?? {})).to.have.members(['m.favourite', '__proto__'])
  })

  it('knows whom a user ignores', async () => {
    const { userId, requester } = await fixture.createUser('alice')
    const ignored = () => fixture.stores.accountData.getIgnoredUsers(fixture.db.reader, userId)
    expect(await ignored()).to.deep.equal(new Set())
    for (const [content, expected] of [
      [{ ignored_users: { '@spam:hs.test': {}, [userId]: {} } }, ['@spam:hs.test']],
      [{ ignored_users: 'everybody' }, []],
      [{}, []],
    ] as const) {
      const entry = { roomId: undefined, type: 'm.ignored_user_list', content: { ...content } }
      await fixture.services.accountData.put(requester, userId, entry)
      expect(await ignored()).to.deep.equal(new Set(expected))
    }
  })
})
