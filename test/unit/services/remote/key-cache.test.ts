import { expect } from 'chai'
import { makeSigningKey, type SigningKey } from '../../../../src/protocol/signing-keys.js'
import {
  makeServerKeys,
  readServerKeys,
  type ServerKeyDocument,
} from '../../../../src/protocol/server-keys.js'
import type { ServerName } from '../../../../src/protocol/ids.js'
import { FederationError } from '../../../../src/services/remote/federation-error.js'
import { KeyCache } from '../../../../src/services/remote/key-cache.js'
import type { KeyWish } from '../../../../src/services/remote/key-fetcher.js'
import type { Database } from '../../../../src/storage/database.js'
import { ServerKeysStore } from '../../../../src/storage/stores/server-keys.js'
import { createDeferred } from '../../../../src/util/deferred.js'
import type { JsonObject } from '../../../../src/util/json.js'
import { forEachDatabase } from '../../../support/databases.js'
import { ManualClock } from '../../../support/manual-clock.js'

const OWN = 'own.test' as ServerName
const A = 'a.test' as ServerName
const B = 'b.test' as ServerName
const HOUR_MS = 60 * 60_000

forEachDatabase('KeyCache', (open) => {
  const store = new ServerKeysStore()
  let db: Database
  let clock: ManualClock
  let asked: string[]
  /** What servers, and notaries, tell of their keys. */
  let origins: Map<ServerName, ServerKeyDocument>
  let notaries: Map<ServerName, ServerKeyDocument>
  let hasNotaries: boolean
  let key: SigningKey
  let next: SigningKey
  let cache: KeyCache
  let beforeAnswer: () => Promise<undefined>

  function start(): KeyCache {
    return new KeyCache({
      db,
      store,
      clock,
      serverName: OWN,
      ownKeys: {
        verifyKeys: () => new Map([[key.keyId, { key: key.key.verifyKey, validUntilTs: Infinity }]]),
      },
      fetcher: {
        get hasNotaries() {
          return hasNotaries
        },
        fromOrigin: async (serverName) => {
          asked.push(serverName)
          await beforeAnswer()
          const document = origins.get(serverName)
          if (document !== undefined) return document
          throw new FederationError(serverName, 'unreachable', 'down')
        },
        fromNotaries: (wishes) => {
          asked.push(`notary ${wishes.map(({ serverName }) => serverName).join(' ')}`)
          return Promise.resolve(wishes.flatMap(({ serverName }) => notaries.get(serverName) ?? []))
        },
      },
    })
  }

  function document(
    serverName: ServerName,
    keys: readonly SigningKey[],
    validUntilTs: number,
  ): ServerKeyDocument {
    const read = readServerKeys(
      makeServerKeys(serverName, { current: keys, old: [] }, validUntilTs),
      serverName,
    )
    if ('problem' in read) throw new Error(read.problem)
    return read
  }

  async function validUntil(wish: Partial<KeyWish> = {}): Promise<number | undefined> {
    const full = { serverName: A, keyIds: [key.keyId], validAtTs: clock.now(), ...wish }
    const keys = await cache.getKeys([full])
    return keys.get(full.serverName)?.get(full.keyIds[0] ?? '')?.validUntilTs
  }

  beforeEach(async () => {
    db = await open()
    clock = new ManualClock()
    beforeAnswer = () => Promise.resolve(undefined)
    asked = []
    origins = new Map()
    notaries = new Map()
    hasNotaries = false
    key = makeSigningKey('one', Buffer.alloc(32, 1))
    next = makeSigningKey('two', Buffer.alloc(32, 2))
    cache = start()
  })

  it('asks a server once, and then remembers, also after a restart', async () => {
    const until = clock.now() + HOUR_MS
    origins.set(A, document(A, [key], until))
    expect(await validUntil()).to.equal(until)
    expect(await validUntil()).to.equal(until)
    cache = start()
    expect(await validUntil()).to.equal(until)
    expect(asked).to.deep.equal([A])
  })

  it('asks together for what is wanted at the same time', async () => {
    origins.set(A, document(A, [key], clock.now() + HOUR_MS))
    await Promise.all([validUntil(), validUntil(), validUntil()])
    expect(asked).to.deep.equal([A])
  })

  it('keeps so many keys of a server only, and of a large document so many copies', async () => {
    const made = Array.from({ length: 260 }, (_, index) => makeSigningKey(`k${index}`, Buffer.alloc(32, 3)))
    for (let start = 0; start < 260; start += 65) {
      const said = document(A, made.slice(start, start + 65), clock.now() + HOUR_MS)
      origins.set(A, { ...said, json: { ...said.json, more: 'x'.repeat(40_000) } })
      await validUntil({ keyIds: ['ed25519:unknown'] })
    }
    expect(await store.listKeys(db.reader, [A])).to.have.length(200)
    const kept = await store.listDocuments(db.reader, [A])
    // The whole text stands beside each key.
    expect(kept.map(({ keyIds }) => keyIds.length)).to.satisfy((counts: number[]) =>
      counts.every((count) => count > 0 && count * 40_000 <= 1024 * 1024),
    )
    clock.advance(HOUR_MS / 2)
    origins.set(A, document(A, made.slice(0, 1), clock.now() + HOUR_MS))
    await cache.refresh([{ serverName: A, keyIds: [], validAtTs: 0 }])
    expect(await validUntil({ keyIds: ['ed25519:k0'] })).to.equal(clock.now() + HOUR_MS)
  })

  it('lets nobody wait for a question that was asked for another purpose', async () => {
    const [begun, slow] = [createDeferred<undefined>(), createDeferred<undefined>()]
    beforeAnswer = () => {
      begun.resolve(undefined)
      beforeAnswer = () => Promise.resolve(undefined)
      return slow.promise
    }
    const others = cache.refresh([{ serverName: A, keyIds: [], validAtTs: 0 }])
    await begun.promise
    origins.set(A, document(A, [key], clock.now() + HOUR_MS))
    const wish = { serverName: A, keyIds: [key.keyId], validAtTs: clock.now() }
    expect((await cache.getKeys([wish], 'request')).get(A)?.has(key.keyId)).to.equal(true)
    slow.resolve(undefined)
    await others
    expect(asked).to.deep.equal([A, A])
  })

  it('asks again when a key is not valid for long enough', async () => {
    origins.set(A, document(A, [key], clock.now() + HOUR_MS))
    await validUntil()
    clock.advance(2 * HOUR_MS)
    origins.set(A, document(A, [key], clock.now() + HOUR_MS))
    expect(await validUntil()).to.equal(clock.now() + HOUR_MS)
    expect(asked).to.deep.equal([A, A])
    expect(await validUntil({ validAtTs: 0 })).to.equal(clock.now() + HOUR_MS)
    expect(asked).to.have.length(2)
  })

  it('asks again for a key that it does not know', async () => {
    origins.set(A, document(A, [key], clock.now() + HOUR_MS))
    await validUntil()
    origins.set(A, document(A, [next], clock.now() + HOUR_MS))
    expect(await validUntil({ keyIds: [next.keyId] })).to.equal(clock.now() + HOUR_MS)
    // The other is still known for what it has signed.
    expect(await validUntil({ validAtTs: 0 })).to.be.a('number')
    expect(asked).to.deep.equal([A, A])
  })

  it('does not ask a server all the time, whether it answers or not', async () => {
    for (const serverName of [A, B]) {
      origins.set(A, document(A, [key], clock.now() + HOUR_MS))
      asked = []
      for (let count = 0; count < 50; count++) await validUntil({ serverName, keyIds: [next.keyId] })
      expect(asked).to.have.length(5)
      clock.advance(10_000)
      for (let count = 0; count < 50; count++) await validUntil({ serverName, keyIds: [next.keyId] })
      expect(asked).to.have.length(6)
    }
  })

  it('never asks for its own keys', async () => {
    expect(await validUntil({ serverName: OWN })).to.equal(Infinity)
    await validUntil({ serverName: OWN, keyIds: ['ed25519:other'] })
    expect(asked).to.deep.equal([])
  })

  it('asks a notary where a server does not answer', async () => {
    hasNotaries = true
    const until = clock.now() + HOUR_MS
    notaries.set(A, document(A, [key], until))
    expect(await validUntil()).to.equal(until)
    expect(asked).to.deep.equal([A, 'notary a.test'])
  })

  it('asks notaries first for the keys of many, and the servers for the rest', async () => {
    hasNotaries = true
    notaries.set(A, document(A, [key], clock.now() + HOUR_MS))
    origins.set(B, document(B, [next], clock.now() + HOUR_MS))
    const keys = await cache.getKeys([
      { serverName: A, keyIds: [key.keyId], validAtTs: clock.now() },
      { serverName: B, keyIds: [next.keyId], validAtTs: clock.now() },
    ])
    expect([...keys.keys()]).to.have.members([A, B])
    expect(keys.get(A)?.has(key.keyId)).to.be.true
    expect(keys.get(B)?.has(next.keyId)).to.be.true
    expect(asked).to.deep.equal(['notary a.test b.test', B])
  })

  it('does not let notaries say less than the server itself has said', async () => {
    const until = clock.now() + 2 * HOUR_MS
    origins.set(A, document(A, [key], until))
    await validUntil()
    hasNotaries = true
    origins.delete(A)
    notaries.set(A, document(A, [key, next], clock.now() + HOUR_MS))
    expect(await validUntil({ keyIds: [next.keyId] })).to.equal(clock.now() + HOUR_MS)
    expect(await validUntil()).to.equal(until)
  })

  it('keeps what servers have signed, for those who ask', async () => {
    origins.set(A, document(A, [key, next], clock.now() + HOUR_MS))
    await validUntil()
    const [stored, ...more] = await store.listDocuments(db.reader, [A])
    expect(more).to.deep.equal([])
    expect(stored).to.deep.include({
      serverName: A,
      keyIds: [key.keyId, next.keyId],
      fetchedTs: clock.now(),
      validUntilTs: clock.now() + HOUR_MS,
    })
    const json = JSON.parse(stored?.text ?? '') as JsonObject
    expect(readServerKeys(json, A)).to.have.property('serverName', A)
  })

  it('takes on that a key is used no more', async () => {
    origins.set(A, document(A, [key], clock.now() + HOUR_MS))
    await validUntil()
    const old = { keyId: key.keyId, key: key.key.verifyKey, expiredTs: clock.now() - 1000 }
    const json = makeServerKeys(A, { current: [next], old: [old] }, clock.now() + HOUR_MS)
    const read = readServerKeys(json, A)
    if ('problem' in read) throw new Error(read.problem)
    origins.set(A, read)
    await validUntil({ keyIds: [next.keyId] })
    expect(await validUntil({ validAtTs: 0 })).to.equal(clock.now() - 1000)
  })
})
