import { expect } from 'chai'
import { limitExceeded } from '../../../../src/protocol/errors.js'
import type { ServerName } from '../../../../src/protocol/ids.js'
import { InboundTransactions } from '../../../../src/services/federation/inbound-transactions.js'
import { JoinsUnderWay } from '../../../../src/services/federation/joins-under-way.js'
import type { Database } from '../../../../src/storage/database.js'
import { FederationInboxStore } from '../../../../src/storage/stores/federation-inbox.js'
import { silentLogger } from '../../../../src/telemetry/logger.js'
import type { JsonObject } from '../../../../src/util/json.js'
import { forEachDatabase } from '../../../support/databases.js'
import { ManualClock } from '../../../support/manual-clock.js'
import { rejection } from '../../../support/rejection.js'

const ORIGIN = 'other.test' as ServerName
const PDU = { room_id: '!room:other.test' }
const EDU = { edu_type: 'm.test', content: {} }

forEachDatabase('InboundTransactions', (open) => {
  let db: Database
  let isFull: boolean
  let isStopping: boolean
  let dispatched: number
  let transactions: InboundTransactions

  beforeEach(async () => {
    db = await open()
    isFull = false
    isStopping = false
    dispatched = 0
    transactions = new InboundTransactions(db, {
      store: new FederationInboxStore(),
      rooms: { getByIds: () => Promise.resolve(new Map()) } as never,
      inbox: {
        requirePlace: () => (isFull ? Promise.reject(limitExceeded(1_000)) : Promise.resolve()),
        stage: () => Promise.resolve(),
      } as never,
      edus: {
        dispatch: (_origin: ServerName, edus: readonly unknown[]) => {
          dispatched += edus.length
          return Promise.resolve()
        },
      } as never,
      client: {
        get isStopping() {
          return isStopping
        },
      },
      joins: new JoinsUnderWay(),
      // Of no room that is known.
      ...{ members: {} as never, acls: {} as never, intake: {} as never, outside: {} as never },
      clock: new ManualClock(),
      logger: silentLogger(),
    })
  })

  function receive(txnId: string, json: JsonObject): Promise<JsonObject> {
    return transactions.receive(ORIGIN, txnId, { json, text: JSON.stringify(json) })
  }

  async function kept(): Promise<string[]> {
    const rows = await db.reader.all<{ txn_id: string }>('SELECT txn_id FROM federation_transactions')
    return rows.map((row) => row.txn_id)
  }

  it('refuses a transaction as long as there is no place for its events, and takes it when there is', async () => {
    isFull = true
    expect(await rejection(receive('1', { pdus: [PDU], edus: [EDU] }))).to.include({ status: 429 })
    expect([await kept(), dispatched]).to.deep.equal([[], 0])
    isFull = false
    expect(await receive('1', { pdus: [PDU], edus: [EDU] })).to.deep.equal({ pdus: {} })
    expect([await kept(), dispatched]).to.deep.equal([['1'], 1])
    // Who has not heard the answer is told it, whatever waits.
    isFull = true
    expect(await receive('1', { pdus: [PDU], edus: [EDU] })).to.deep.equal({ pdus: {} })
    expect(dispatched).to.equal(1)
  })

  it('takes what is no event however many events wait', async () => {
    isFull = true
    expect(await receive('1', { pdus: [], edus: [EDU] })).to.deep.equal({ pdus: {} })
    expect(dispatched).to.equal(1)
  })

  it('says nothing for good of events that it looked at while it was stopping', async () => {
    isStopping = true
    expect(await rejection(receive('1', { pdus: [PDU] }))).to.include({ status: 503 })
    expect(await kept()).to.deep.equal([])
  })

  it('keeps nothing of empty transactions, and of long names as much as of others', async () => {
    expect(await receive('empty', {})).to.deep.equal({ pdus: {} })
    const name = 'x'.repeat(10_000)
    for (const last of ['a', 'b', 'a']) await receive(name + last, { pdus: [PDU], edus: [EDU] })
    const names = await kept()
    expect([names.length, dispatched]).to.deep.equal([2, 2])
    expect(names.every((each) => each.length < 100)).to.equal(true)
  })
})
