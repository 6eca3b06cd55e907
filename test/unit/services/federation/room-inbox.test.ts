import { expect } from 'chai'
import type { EventId, RoomId, ServerName } from '../../../../src/protocol/ids.js'
import { InboxShares } from '../../../../src/services/federation/inbox-shares.js'
import { RoomInbox, type InboxHandler } from '../../../../src/services/federation/room-inbox.js'
import type { Database } from '../../../../src/storage/database.js'
import { FederationInboxStore } from '../../../../src/storage/stores/federation-inbox.js'
import type { RoomRecord } from '../../../../src/storage/stores/rooms.js'
import { silentLogger } from '../../../../src/telemetry/logger.js'
import { createDeferred } from '../../../../src/util/deferred.js'
import { forEachDatabase } from '../../../support/databases.js'
import { ManualClock } from '../../../support/manual-clock.js'
import { rejection } from '../../../support/rejection.js'
import { rulesOf } from '../../../support/auth-room.js'

const [A, B] = ['a.test', 'b.test'] as [ServerName, ServerName]

forEachDatabase('RoomInbox', (open) => {
  let db: Database
  let room: RoomRecord

  before(() => {
    room = { roomNid: 1, roomId: '!1:a.test' as RoomId, rules: rulesOf('11') } as RoomRecord
  })
  beforeEach(async () => {
    db = await open()
  })

  function create(handle: InboxHandler): RoomInbox {
    const store = new FederationInboxStore()
    return new RoomInbox(db, {
      store,
      rooms: { getByNids: () => Promise.resolve(new Map([[1, room]])) } as never,
      handle,
      shares: new InboxShares({
        count: () => store.countByOrigin(db.reader),
        clock: new ManualClock(),
        limits: { each: { events: 2, chars: 10_000 }, all: { events: 100, chars: 100_000 } },
      }),
      logger: silentLogger(),
    })
  }

  function stage(inbox: RoomInbox, origin: ServerName, ...names: readonly string[]): Promise<void> {
    const events = names.map((name) => {
      const json = {
        ...{
          type: 'test',
          sender: '@u:a.test',
          content: {},
          room_id: room.roomId,
          depth: 1,
          origin_server_ts: 1,
        },
        ...{ auth_events: [], prev_events: [], hashes: {}, signatures: {} },
      }
      return { room, event: { eventId: `$${name}` as EventId, toText: () => JSON.stringify(json) } as never }
    })
    return db.write('test', (tx) => inbox.stage(tx, { origin, receivedTs: 1 }, events))
  }

  async function waiting(): Promise<number> {
    return (await db.reader.all('SELECT event_id FROM federation_inbox')).length
  }

  it('has no place for a server of which enough waits, also after a restart', async () => {
    const places = createDeferred()
    const slow = create(async (_room, sent, { signal }) => {
      await Promise.race([places.promise, aborted(signal)])
      return signal.aborted ? 0 : sent.length
    })
    await slow.start()
    await stage(slow, A, '1', '2')
    expect(await rejection(slow.requirePlace(A))).to.include({ status: 429, errcode: 'M_LIMIT_EXCEEDED' })
    await slow.requirePlace(B)
    await slow.stop()

    const next = create((_room, sent) => places.promise.then(() => sent.length))
    await next.start()
    expect(await rejection(next.requirePlace(A))).to.include({ status: 429 })
    places.resolve()
    await next.settle()
    await next.requirePlace(A)
    expect(await waiting()).to.equal(0)
    await next.stop()
  })

  it('stops at once and keeps what others are being asked about, or what fails for that', async () => {
    for (const fails of [false, true]) {
      const begun = createDeferred()
      const inbox = create(async (_room, _sent, { signal, whileAsking }) => {
        begun.resolve()
        await whileAsking(() => aborted(signal))
        if (fails) throw new Error('nobody has answered')
        return 0
      })
      await inbox.start()
      await stage(inbox, A, '1', '2', '3')
      await begun.promise
      await inbox.stop()
      expect(await waiting()).to.equal(3)
    }
  })
})

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
