import { expect } from 'chai'
import type { UserId } from '../../../../src/protocol/ids.js'
import { PushersStore, type PusherSettings } from '../../../../src/storage/stores/pushers.js'
import { forEachDatabase } from '../../../support/databases.js'

const ALICE = '@alice:hs.test' as UserId
const BOB = '@bob:hs.test' as UserId

function pusherOf(userId: UserId, fields: Partial<PusherSettings> = {}): PusherSettings {
  return {
    userId,
    kind: 'http',
    appId: 'app',
    pushkey: 'key',
    appDisplayName: 'App',
    deviceDisplayName: 'Device',
    profileTag: undefined,
    lang: 'en',
    data: {},
    isEnabled: true,
    deviceId: undefined,
    tokenId: undefined,
    pushkeyTs: 0,
    ...fields,
  }
}

forEachDatabase('PusherHolders', (open) => {
  it('are those who have an enabled pusher, also after a start', async () => {
    const db = await open()
    const store = new PushersStore()
    await db.write('set', async (tx) => {
      await store.upsert(tx, pusherOf(ALICE), 1)
      await store.upsert(tx, pusherOf(BOB, { isEnabled: false }), 1)
    })
    const restarted = new PushersStore()
    expect(restarted.holders.size).to.equal(0)
    await restarted.loadHolders(db.reader)
    expect(restarted.holders.has(ALICE)).to.equal(true)
    expect(restarted.holders.has(BOB)).to.equal(false)
  })

  it('are known as soon as a pusher can be seen, and forgotten when they are found to have none', async () => {
    const db = await open()
    const store = new PushersStore()
    const { generation } = store.holders
    await db.write('set', (tx) => store.upsert(tx, pusherOf(ALICE), 1))
    expect(store.holders.has(ALICE)).to.equal(true)
    expect(store.holders.generation).to.be.greaterThan(generation)
    expect(await store.listOfHolders(db, [ALICE])).to.have.length(1)
    expect(store.holders.has(ALICE)).to.equal(true)
    await db.write('delete', (tx) => store.deleteForUser(tx, ALICE))
    expect(await store.listOfHolders(db, [ALICE])).to.have.length(0)
    expect(store.holders.has(ALICE)).to.equal(false)
  })

  it('keep their generation when one who is among them sets a pusher again', async () => {
    const db = await open()
    const store = new PushersStore()
    await db.write('set', (tx) => store.upsert(tx, pusherOf(ALICE), 1))
    const { generation } = store.holders
    await db.write('set', (tx) => store.upsert(tx, pusherOf(ALICE, { lang: 'de' }), 1))
    expect(store.holders.generation).to.equal(generation)
  })

  it('are not forgotten by somebody who looked before their pusher was committed', async () => {
    const db = await open()
    const store = new PushersStore()
    let mark = 0
    await db.write('set', async (tx) => {
      await store.upsert(tx, pusherOf(ALICE), 1)
      mark = store.holders.mark()
    })
    // What was read at the mark did not show the pusher yet.
    store.holders.drop([ALICE], mark)
    expect(store.holders.has(ALICE)).to.equal(true)
  })

  it('are added again by the commit when they were dropped while it ran', async () => {
    const db = await open()
    const store = new PushersStore()
    await db.write('set', async (tx) => {
      await store.upsert(tx, pusherOf(ALICE), 1)
      store.holders.drop([ALICE], store.holders.mark())
      expect(store.holders.has(ALICE)).to.equal(false)
    })
    expect(store.holders.has(ALICE)).to.equal(true)
  })
})
