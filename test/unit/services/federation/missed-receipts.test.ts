import { expect } from 'chai'
import type { EventId, RoomId, ServerName, UserId } from '../../../../src/protocol/ids.js'
import { StoredReceiptBacklog } from '../../../../src/services/federation/missed-receipts.js'
import { CacheRegistry } from '../../../../src/storage/cache-registry.js'
import type { Database } from '../../../../src/storage/database.js'
import { FederationPositionsStore } from '../../../../src/storage/stores/federation-positions.js'
import { ReceiptsStore, type ReceiptKey, type ReceiptType } from '../../../../src/storage/stores/receipts.js'
import { RoomServersStore, usersOfPattern } from '../../../../src/storage/stores/room-servers.js'
import { createMetrics } from '../../../../src/telemetry/metrics.js'
import { forEachDatabase } from '../../../support/databases.js'

const US = 'a.test' as ServerName
const B = 'b.test' as ServerName
const C = 'c.test:8448' as ServerName
const ALICE = '@alice:a.test' as UserId

forEachDatabase('StoredReceiptBacklog', (open) => {
  let db: Database
  let backlog: StoredReceiptBacklog
  let position: number

  beforeEach(async () => {
    db = await open()
    position = 0
    backlog = new StoredReceiptBacklog({
      db,
      positions: new FederationPositionsStore(),
      store: new RoomServersStore(),
      stream: { position: () => position },
      localPattern: usersOfPattern(US),
    })
    await db.write('test', async (tx) => {
      for (const roomNid of [1, 2]) {
        await tx.execute(
          `INSERT INTO rooms (room_nid, room_id, version, creator, created_ts) VALUES (?, ?, '11', '@c:a.test', 0)`,
          [roomNid, `!${roomNid}:a.test`],
        )
      }
    })
    await member(1, '@bob:b.test', 'join')
    await member(2, '@bob:b.test', 'leave')
    await member(2, '@carol:c.test:8448', 'join')
  })

  async function member(roomNid: number, userId: string, membership: string): Promise<void> {
    await db.write('test', (tx) =>
      tx.execute(
        `INSERT INTO room_members (room_nid, user_id, membership, event_nid, stream_ordering, sender, is_local)
         VALUES (?, ?, ?, 1, 1, ?, 0)`,
        [roomNid, userId, membership, userId],
      ),
    )
  }

  async function read(
    roomNid: number,
    userId: string,
    { type = 'm.read', threadId }: { type?: ReceiptType; threadId?: string } = {},
  ): Promise<void> {
    await write([{ roomNid, userId: userId as UserId, type, threadId }])
  }

  async function write(keys: readonly ReceiptKey[]): Promise<void> {
    const store = new ReceiptsStore(new CacheRegistry(createMetrics()))
    const receipts = keys.map((key) => {
      const streamId = ++position
      return { ...key, eventId: `$${streamId}` as EventId, eventPosition: undefined, ts: 7, streamId }
    })
    await db.write('test', (tx) => store.upsert(tx, receipts))
  }

  it('gives public receipts of our users in rooms that the server is in, of each the newest', async () => {
    await read(1, ALICE)
    await read(1, ALICE, { threadId: 'main' })
    await read(1, '@bob:b.test')
    await read(1, ALICE, { type: 'm.read.private' })
    await read(2, ALICE)
    await read(1, ALICE)
    const { receipts, ...rest } = await backlog.load(B, 0)
    expect(rest).to.deep.equal({ upTo: 6, isAll: true })
    const common = { kind: 'receipt', roomId: '!1:a.test' as RoomId, userId: ALICE, ts: 7 }
    expect(receipts).to.deep.equal([
      { ...common, threadId: 'main', eventId: '$2', streamId: 2 },
      { ...common, threadId: undefined, eventId: '$6', streamId: 6 },
    ])
    expect((await backlog.load(B, 2)).receipts.map(({ streamId }) => streamId)).to.deep.equal([6])
    expect((await backlog.load(C, 0)).receipts.map(({ streamId }) => streamId)).to.deep.equal([5])
  })

  it('goes on where a part has ended', async () => {
    await write(
      Array.from({ length: 501 }, (_, n) => ({
        roomNid: n % 2 === 0 ? 1 : 2,
        userId: `@u${n}:a.test` as UserId,
        type: 'm.read',
        threadId: undefined,
      })),
    )
    const first = await backlog.load(B, 0)
    expect([first.upTo, first.isAll, first.receipts.length]).to.deep.equal([500, false, 250])
    const second = await backlog.load(B, first.upTo)
    expect([second.upTo, second.isAll, second.receipts.length]).to.deep.equal([501, true, 1])
  })

  it('keeps from where on receipts were missed', async () => {
    await backlog.record(B, 5)
    await backlog.record(C, 6)
    await backlog.record(C, 4)
    expect([...(await backlog.list())].sort()).to.deep.equal([
      [B, 5],
      [C, 4],
    ])
    await backlog.record(B, undefined)
    expect([...(await backlog.list())]).to.deep.equal([[C, 4]])
  })
})
