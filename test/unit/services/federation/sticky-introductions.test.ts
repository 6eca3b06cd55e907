import { expect } from 'chai'
import type { ServerName, UserId } from '../../../../src/protocol/ids.js'
import type { AddressedPdu } from '../../../../src/services/federation/federation-sender.js'
import { StickyIntroductions } from '../../../../src/services/federation/sticky-introductions.js'
import type { Database } from '../../../../src/storage/database.js'
import { nextTurn } from '../../../../src/util/clock.js'
import { ManualClock } from '../../../support/manual-clock.js'

const [ME, OTHER] = ['me.test', 'other.test'] as [ServerName, ServerName]
const DELAY_MS = 2_000

describe('StickyIntroductions', () => {
  let clock: ManualClock
  let inRoom: Set<ServerName>
  let sent: AddressedPdu[]
  let introductions: StickyIntroductions

  beforeEach(() => {
    clock = new ManualClock()
    inRoom = new Set([OTHER])
    sent = []
    introductions = new StickyIntroductions({
      db: { reader: {} } as Database,
      clock,
      serverName: ME,
      stickyEvents: {
        listLocal: () => Promise.resolve([{ roomNid: 1, eventNid: 5, streamOrdering: 9 }] as never),
      },
      events: { getByNids: () => Promise.resolve(new Map([[5, { event: { json: { n: 5 } } } as never]])) },
      sender: {
        addPdus: (pdus) => {
          sent.push(...pdus)
          return Promise.resolve()
        },
      },
      audience: { serversInRooms: () => Promise.resolve(new Map([[1, inRoom]])) },
      onError: (error) => {
        throw error
      },
    })
  })

  function join(user: string, before: readonly ServerName[] = [ME]): void {
    const servers = { before: new Set(before), after: new Set([ME, OTHER]), isCrowded: false }
    introductions.onJoin({ roomNid: 1, userId: user as UserId, servers })
  }

  async function wait(): Promise<void> {
    clock.advance(DELAY_MS)
    for (let turn = 0; turn < 10; turn++) await nextTurn()
  }

  it('give a server that comes what is sticky, once however often it comes and goes', async () => {
    for (const user of ['@a:other.test', '@b:other.test', '@a:other.test']) join(user)
    await wait()
    expect(sent).to.deep.equal([
      { destination: OTHER, pdu: { roomNid: 1, streamOrdering: 9, json: { n: 5 }, isLast: false } },
    ])
    join('@c:other.test')
    await wait()
    expect(sent).to.have.length(2)
  })

  it('give nothing to a server that has left again, that was there, or of a room that was not ours', async () => {
    inRoom = new Set()
    join('@a:other.test')
    await wait()
    inRoom = new Set([OTHER])
    join('@a:other.test', [ME, OTHER])
    join('@a:other.test', [])
    join('@a:me.test')
    await wait()
    expect([sent, clock.pending]).to.deep.equal([[], 0])
  })

  it('end with the server', async () => {
    join('@a:other.test')
    introductions.stop()
    await wait()
    expect([sent, clock.pending]).to.deep.equal([[], 0])
  })
})
