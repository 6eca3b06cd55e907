import { expect } from 'chai'
import type { EventId, RoomId } from '../../../../src/protocol/ids.js'
import { RedactedContent } from '../../../../src/services/rooms/redacted-content.js'
import { RedactedContentStore } from '../../../../src/storage/stores/redacted-content.js'
import type { JsonObject } from '../../../../src/util/json.js'
import { forEachDatabase } from '../../../support/databases.js'
import { ALICE, createEventFixture, createRoom, type EventFixture } from '../../../support/event-services.js'

const RETENTION_MS = 60_000

forEachDatabase('RedactedContent', (open) => {
  let fixture: EventFixture
  beforeEach(async () => {
    fixture = await createEventFixture(await open())
  })

  const send = (roomId: RoomId, type: string, content: JsonObject, stateKey?: string): Promise<EventId> =>
    fixture.sender.send(
      { userId: ALICE },
      { roomId, type, content, ...(stateKey !== undefined && { stateKey }) },
    )
  const say = (roomId: RoomId, body: string): Promise<EventId> =>
    send(roomId, 'm.room.message', { body, msgtype: 'm.file', url: 'mxc://hs.test/file' })
  const redact = (roomId: RoomId, redacts: EventId): Promise<EventId> =>
    send(roomId, 'm.room.redaction', { redacts })

  function prune(signal = new AbortController().signal): Promise<void> {
    const { db, clock, stores } = fixture
    const redacted = new RedactedContentStore()
    return new RedactedContent({ db, clock, rooms: stores.rooms, redacted, retentionMs: RETENTION_MS }).prune(
      signal,
    )
  }

  /** As it is in the database. */
  async function rowOf(eventId: EventId): Promise<{ json: string; contains_url: number }> {
    const row = await fixture.db.reader.first<{ json: string; contains_url: number }>(
      'SELECT json, contains_url FROM events WHERE event_id = ?',
      [eventId],
    )
    return row!
  }

  async function stillSecret(): Promise<string[]> {
    const rows = await fixture.db.reader.all<{ event_id: string }>(
      `SELECT event_id FROM events WHERE json LIKE '%secret%'`,
    )
    return rows.map((row) => row.event_id)
  }

  /** Work that pauses goes on. */
  async function whileTimePasses(work: Promise<void>): Promise<void> {
    const progress = { isOver: false }
    const over = work.finally(() => (progress.isOver = true))
    while (!progress.isOver) {
      await new Promise(setImmediate)
      if (fixture.clock.pending > 0) fixture.clock.advance(20)
    }
    await over
  }

  for (const version of ['1', '10', '12']) {
    it(`removes it when its time is over in version ${version}`, async () => {
      const roomId = await createRoom(fixture, { version })
      const [told, kept] = [await say(roomId, 'my secret'), await say(roomId, 'no secret')]
      const topic = await send(roomId, 'm.room.topic', { topic: 'my secret' }, '')
      await redact(roomId, told)
      await redact(roomId, topic)
      await redact(roomId, told)
      const before = (await (await fixture.restart()).timeline(roomId)).map(({ event }) => event.toText())
      fixture.clock.advance(RETENTION_MS)
      await prune()
      expect((await rowOf(told)).json).to.include('my secret')
      fixture.clock.advance(1)
      await prune()
      for (const eventId of [told, topic]) expect((await rowOf(eventId)).json).not.to.include('secret')
      expect((await rowOf(told)).contains_url).to.equal(0)
      expect(await rowOf(kept))
        .to.include({ contains_url: 1 })
        .and.to.have.property('json')
        .that.includes('no secret')
      const after = (await (await fixture.restart()).timeline(roomId)).map(({ event }) => event.toText())
      expect(after).to.deep.equal(before)
    })
  }

  it('takes many, the oldest first, and none that is not due', async () => {
    const roomId = await createRoom(fixture)
    const count = 205
    const old = await fixture.sender.sendBatch(
      { userId: ALICE },
      roomId,
      Array.from({ length: count }, (_, index) => ({
        type: 'm.room.message',
        content: { body: `secret ${index}` },
      })),
    )
    const redactions = old.map((redacts) => ({ type: 'm.room.redaction', content: { redacts } }))
    await fixture.sender.sendBatch({ userId: ALICE }, roomId, redactions)
    fixture.clock.advance(RETENTION_MS + 1)
    const young = await say(roomId, 'young secret')
    await redact(roomId, young)
    await prune(AbortSignal.abort())
    expect(await stillSecret()).to.have.lengthOf(count + 1)
    await whileTimePasses(prune())
    expect(await stillSecret()).to.deep.equal([young])
    const { writes } = fixture.counts
    await prune()
    expect(fixture.counts.writes, 'nothing is done twice').to.equal(writes + 1)
  })

  it('goes on past redactions that are held no more, and past targets that are not', async () => {
    const roomId = await createRoom(fixture)
    const [lost, gone, told] = [
      await say(roomId, 'secret 1'),
      await say(roomId, 'secret 2'),
      await say(roomId, '3'),
    ]
    const redaction = await redact(roomId, lost)
    await redact(roomId, gone)
    await redact(roomId, told)
    await fixture.db.write('test', async (tx) => {
      await tx.execute('DELETE FROM events WHERE event_id = ?', [redaction])
      await tx.execute('DELETE FROM events WHERE event_id = ?', [gone])
    })
    await prune()
    expect((await rowOf(lost)).json).not.to.include('secret')
    fixture.clock.advance(RETENTION_MS + 1)
    await prune()
    const left = await fixture.db.reader.first<{ count: number }>(
      'SELECT COUNT(*) AS count FROM redactions WHERE pruned = 0',
    )
    expect(Number(left?.count)).to.equal(0)
  })
})
