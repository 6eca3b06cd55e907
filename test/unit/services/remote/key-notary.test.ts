import { expect } from 'chai'
import type { ServerName } from '../../../../src/protocol/ids.js'
import { createSigner, makeSigningKey } from '../../../../src/protocol/signing-keys.js'
import type { KeyWish } from '../../../../src/services/remote/key-fetcher.js'
import { KeyNotary } from '../../../../src/services/remote/key-notary.js'
import { nextTurn } from '../../../../src/util/clock.js'
import { createDeferred } from '../../../../src/util/deferred.js'
import { ManualClock } from '../../../support/manual-clock.js'

const OWN = 'own.test' as ServerName

describe('KeyNotary', () => {
  it('asks so many servers only at the same time for others', async () => {
    let asked = 0
    const slow = createDeferred<undefined>()
    const notary = new KeyNotary({
      db: { reader: {} } as never,
      store: { listDocuments: () => Promise.resolve([]) } as never,
      keys: {
        refresh: async (wishes: readonly KeyWish[]) => {
          asked += wishes.length
          if (wishes.length > 0) await slow.promise
        },
      },
      ownKeys: { document: () => ({}) },
      serverName: OWN,
      signer: createSigner(OWN, makeSigningKey('own', Buffer.alloc(32, 1))),
      clock: new ManualClock(),
      mayTalkTo: () => true,
    })
    const question = (name: string, count: number): KeyWish[] =>
      Array.from({ length: count }, (_, index) => ({
        serverName: `${name}${index}.test` as ServerName,
        keyIds: [],
        validAtTs: 0,
      }))
    const first = notary.query(question('a', 80))
    const second = notary.query(question('b', 80))
    await nextTurn()
    expect(await notary.query(question('c', 80))).to.deep.equal([])
    expect(asked).to.equal(100)
    slow.resolve(undefined)
    await Promise.all([first, second])
    await notary.query(question('d', 80))
    expect(asked).to.equal(180)
  })
})
