import { expect } from 'chai'
import { AppserviceRefusal } from '../../../../src/net/clients/appservice-client.js'
import { HttpFailure } from '../../../../src/net/http-failure.js'
import { parseRegistration } from '../../../../src/protocol/appservice-registration.js'
import type { ServerName } from '../../../../src/protocol/ids.js'
import { AppserviceQueue } from '../../../../src/services/delivery/appservice-queue.js'
import type { StreamHeads } from '../../../../src/services/delivery/appservice-transactions.js'
import { CacheRegistry } from '../../../../src/storage/cache-registry.js'
import type { Database } from '../../../../src/storage/database.js'
import { AppservicesStore } from '../../../../src/storage/stores/appservices.js'
import { DeviceInboxStore } from '../../../../src/storage/stores/device-inbox.js'
import { silentLogger } from '../../../../src/telemetry/logger.js'
import { createMetrics } from '../../../../src/telemetry/metrics.js'
import { forEachDatabase } from '../../../support/databases.js'
import { ManualClock } from '../../../support/manual-clock.js'

const HOUR_MS = 60 * 60_000

function registration() {
  const parsed = parseRegistration(
    { id: 'a', url: 'http://a.test', as_token: 'x', hs_token: 'y', sender_localpart: 'bot' },
    'hs.test' as ServerName,
  )
  if ('problems' in parsed) throw new Error(parsed.problems.join())
  return parsed.registration
}

/** A queue of a service for which every position of the events stream is an event of interest. */
class Fixture {
  readonly clock = new ManualClock()
  readonly store = new AppservicesStore()
  readonly sent: { txnId: number; body: string }[] = []
  failure: Error | undefined
  events = 0
  readonly db: Database

  constructor(db: Database) {
    this.db = db
  }

  start(): AppserviceQueue {
    return new AppserviceQueue(registration(), {
      db: this.db,
      appservices: this.store,
      inbox: new DeviceInboxStore(new CacheRegistry(createMetrics())),
      clock: this.clock,
      logger: silentLogger(),
      heads: () => this.#headsAt(this.events),
      transactions: {
        collect: (_registration, from, heads) => {
          const body = { events: [{ from: from.events, to: heads.events }] }
          return Promise.resolve({ body, positions: heads })
        },
      },
      client: {
        sendTransaction: (_registration, transaction) => {
          this.sent.push(transaction)
          return this.failure === undefined ? Promise.resolve() : Promise.reject(this.failure)
        },
      },
    })
  }

  #headsAt(events: number): StreamHeads {
    return { events, receipts: 0, presence: 0, toDevice: 0, deviceLists: 0, typing: 0 }
  }
}

forEachDatabase('the queue of an application service', (open) => {
  let fixture: Fixture

  beforeEach(async () => {
    fixture = new Fixture(await open())
  })

  async function tell(queue: AppserviceQueue): Promise<void> {
    queue.wake()
    await queue.settle()
  }

  it('tells a new service nothing of the past, and then everything once', async () => {
    fixture.events = 5
    const queue = fixture.start()
    await tell(queue)
    expect(fixture.sent).to.deep.equal([])
    fixture.events = 7
    await tell(queue)
    fixture.events = 8
    await tell(queue)
    expect(fixture.sent.map(({ txnId, body }) => [txnId, JSON.parse(body) as unknown])).to.deep.equal([
      [1, { events: [{ from: 5, to: 7 }] }],
      [2, { events: [{ from: 7, to: 8 }] }],
    ])
  })

  it('sends the same transaction again, later and later, and after a restart', async () => {
    const queue = fixture.start()
    await tell(queue)
    fixture.failure = new HttpFailure('unreachable', 'nobody there')
    fixture.events = 1
    await tell(queue)
    await tell(queue)
    expect(fixture.sent).to.have.length(1)
    fixture.clock.advance(2_000)
    await queue.settle()
    expect(fixture.sent).to.have.length(2)
    await queue.stop()
    fixture.failure = undefined
    fixture.events = 2
    const restarted = fixture.start()
    fixture.clock.advance(HOUR_MS)
    await tell(restarted)
    expect(fixture.sent.map(({ txnId }) => txnId)).to.deep.equal([1, 1, 1, 2])
    expect(new Set(fixture.sent.slice(0, 3).map(({ body }) => body)).size).to.equal(1)
  })

  it('puts aside what a service refuses for more than a day, but waits for one that is away', async () => {
    const queue = fixture.start()
    await tell(queue)
    fixture.failure = new HttpFailure('unreachable', 'nobody there')
    fixture.events = 1
    for (let hour = 0; hour < 48; hour++) {
      await tell(queue)
      fixture.clock.advance(HOUR_MS)
    }
    expect(await fixture.store.listDeadLetters(fixture.db.reader)).to.deep.equal([])
    fixture.failure = new AppserviceRefusal({ status: 400, headers: {}, body: Buffer.from('no') })
    for (let hour = 0; hour < 23; hour++) {
      await tell(queue)
      fixture.clock.advance(HOUR_MS)
    }
    expect(await fixture.store.listDeadLetters(fixture.db.reader)).to.deep.equal([])
    for (let hour = 0; hour < 3; hour++) {
      await tell(queue)
      fixture.clock.advance(HOUR_MS)
    }
    await queue.settle()
    const letters = await fixture.store.listDeadLetters(fixture.db.reader)
    expect(letters.map(({ txnId, error }) => [txnId, error])).to.deep.equal([
      [1, 'the application service answered 400: no'],
    ])
    fixture.failure = undefined
    fixture.events = 2
    await tell(queue)
    expect(fixture.sent.at(-1)).to.include({ txnId: 2 })
  })
})
