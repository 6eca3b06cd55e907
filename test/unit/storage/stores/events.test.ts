import { expect } from 'chai'
import { CacheRegistry } from '../../../../src/storage/cache-registry.js'
import { EventsStore } from '../../../../src/storage/stores/events.js'
import { RoomsStore } from '../../../../src/storage/stores/rooms.js'
import { createMetrics } from '../../../../src/telemetry/metrics.js'
import { forEachDatabase } from '../../../support/databases.js'

const JSON_TEXT = JSON.stringify({
  type: 'm.room.message',
  sender: '@alice:hs',
  room_id: '!room:hs',
  content: { body: 'You fool' },
  origin_server_ts: 1,
  depth: 1,
  prev_events: [],
  auth_events: [],
  hashes: { sha256: '' },
  signatures: {},
})

forEachDatabase('EventsStore', (open) => {
  it('does not bring back what was redacted while somebody read from before', async () => {
    const db = await open()
    await db.write('test', async (tx) => {
      await tx.execute(
        `INSERT INTO rooms (room_nid, room_id, version, creator, created_ts) VALUES (1, '!room:hs', '10', '@alice:hs', 1)`,
      )
      await tx.execute(
        `INSERT INTO events (event_nid, event_id, room_nid, stream_ordering, depth, type, sender, origin_server_ts,
           received_ts, json) VALUES (1, '$insult', 1, 1, 1, 'm.room.message', '@alice:hs', 1, 1, ?)`,
        [JSON_TEXT],
      )
    })
    const caches = new CacheRegistry(createMetrics())
    const store = new EventsStore(caches, new RoomsStore(caches), { cacheSize: 10 })
    const body = async (q = db.reader) => (await store.getByNids(q, [1])).get(1)?.event.content['body']
    await db.read('test', async (q) => {
      await q.first('SELECT COUNT(*) AS n FROM events')
      await db.write('test', async (tx) => {
        await tx.execute(`UPDATE events SET redacted_by = '$redaction'`)
      })
      store.forget(1)
      expect(await body(q)).to.equal('You fool')
    })
    expect(await body()).to.equal(undefined)
  })
})
