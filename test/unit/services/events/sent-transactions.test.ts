import { expect } from 'chai'
import { SentTransactions } from '../../../../src/services/events/sent-transactions.js'
import type { EventId, UserId } from '../../../../src/protocol/ids.js'
import type { Database } from '../../../../src/storage/database.js'
import { EVENT_TXN_LIFETIME_MS, EventTxnsStore } from '../../../../src/storage/stores/event-txns.js'
import { forEachDatabase } from '../../../support/databases.js'
import { ManualClock } from '../../../support/manual-clock.js'
import { rejection } from '../../../support/rejection.js'

const device = { userId: '@alice:hs.test' as UserId, deviceId: 'DEVICE' }

/** Counts the transactions that are looked for. */
class CountingStore extends EventTxnsStore {
  found = 0

  override find(...args: Parameters<EventTxnsStore['find']>): ReturnType<EventTxnsStore['find']> {
    this.found++
    return super.find(...args)
  }
}

forEachDatabase('SentTransactions', (open) => {
  let db: Database
  let clock: ManualClock
  let transactions: SentTransactions
  let sent: string[]
  let store: CountingStore

  beforeEach(async () => {
    db = await open()
    clock = new ManualClock()
    sent = []
    store = new CountingStore()
    restart()
  })

  function restart(): void {
    transactions = new SentTransactions(db, store, clock)
  }
  /** Sends as the server does: with rows of the event and of its transaction. */
  function send(txnId: string, options: { device?: typeof device; roomNid?: number } = {}): Promise<EventId> {
    const { device: from = device, roomNid = 1 } = options
    return transactions.once(from, { roomNid, txnId }, async () => {
      sent.push(txnId)
      const nid = sent.length + 10_000 * roomNid
      const eventId = `$${from.deviceId}-${roomNid}-${txnId}` as EventId
      await db.write('test', async (tx) => {
        await tx.execute(
          `INSERT INTO events (event_nid, event_id, room_nid, depth, type, sender, origin_server_ts, received_ts, json)
           VALUES (?, ?, ?, 1, 'x', 'y', 1, 1, '{}') ON CONFLICT DO NOTHING`,
          [nid, eventId, roomNid],
        )
        await tx.execute(
          'INSERT INTO event_txns (user_id, device_id, room_nid, txn_id, event_nid, ts) VALUES (?, ?, ?, ?, ?, ?)',
          [from.userId, from.deviceId, roomNid, txnId, nid, clock.now()],
        )
      })
      return eventId
    })
  }

  it('sends once, also when asked at the same time and after a restart', async () => {
    const [first, second] = await Promise.all([send('a'), send('a')])
    expect(second).to.equal(first)
    expect(await send('a')).to.equal(first)
    restart()
    expect(await send('a')).to.equal(first)
    expect(sent).to.deep.equal(['a'])
  })

  it('keeps devices and rooms apart', async () => {
    await send('a')
    await send('a', { roomNid: 2 })
    await send('a', { device: { ...device, deviceId: 'OTHER' } })
    expect(sent).to.have.length(3)
  })

  it('tries again what has failed', async () => {
    const failure = new Error('no')
    const failing = transactions.once(device, { roomNid: 1, txnId: 'a' }, () => Promise.reject(failure))
    expect(await rejection(failing)).to.equal(failure)
    await send('a')
    expect(sent).to.deep.equal(['a'])
  })

  it('forgets after a day', async () => {
    await send('a')
    clock.advance(EVENT_TXN_LIFETIME_MS + 1)
    restart()
    await db.write('test', (tx) => new EventTxnsStore().deleteBefore(tx, clock.now() - EVENT_TXN_LIFETIME_MS))
    await send('a')
    expect(sent).to.deep.equal(['a', 'a'])
  })

  it('finds in the database what it no longer keeps in memory, the oldest first', async () => {
    for (let index = 0; index < 520; index++) await send(`t${index}`)
    restart()
    // The newest 500 are in memory now, and there are more.
    expect(await send('t519')).to.be.a('string')
    expect(await send('t0')).to.equal('$DEVICE-1-t0')
    for (let index = 520; index < 1100; index++) await send(`t${index}`)
    expect(await send('t20')).to.equal('$DEVICE-1-t20')
    expect(await send('t1099')).to.equal('$DEVICE-1-t1099')
    expect(sent).to.have.length(1100)
  }).timeout(60_000)

  it('does not ask the database about new transactions of a device that has sent many', async () => {
    const rows = Array.from({ length: 3000 }, (_, nid) => ({ nid, event: `$e${nid}`, txn: `t${nid}` }))
    await db.write('test', async (tx) => {
      const source = tx.dialect.rowsFrom({ nid: 'integer', event: 'text', txn: 'text' })
      await tx.execute(
        `INSERT INTO events (event_nid, event_id, room_nid, depth, type, sender, origin_server_ts, received_ts, json)
         SELECT r.nid, r.event, 1, 1, 'x', 'y', 1, 1, '{}' FROM ${source} AS r`,
        [tx.dialect.rows(rows)],
      )
      await tx.execute(
        `INSERT INTO event_txns (user_id, device_id, room_nid, txn_id, event_nid, ts)
         SELECT ?, ?, 1, r.txn, r.nid, ? FROM ${source} AS r`,
        [device.userId, device.deviceId, clock.now(), tx.dialect.rows(rows)],
      )
    })
    for (let index = 0; index < 20; index++) await send(`new${index}`, { roomNid: 2 })
    expect(store.found).to.be.at.most(2)
    expect(await send('t7')).to.equal('$e7')
    expect(sent).to.have.length(20)
  })
})
