import { expect } from 'chai'
import type { EventId, RoomId } from '../../../../src/protocol/ids.js'
import {
  RetentionPolicies,
  type RetentionOptions,
} from '../../../../src/services/events/retention-policies.js'
import { Retention, type PurgeJob } from '../../../../src/services/rooms/retention.js'
import { CacheRegistry } from '../../../../src/storage/cache-registry.js'
import { EventSearchStore } from '../../../../src/storage/stores/event-search.js'
import { ExpiredEventsStore } from '../../../../src/storage/stores/expired-events.js'
import { createMetrics } from '../../../../src/telemetry/metrics.js'
import { forEachDatabase } from '../../../support/databases.js'
import { ALICE, createEventFixture, createRoom, type EventFixture } from '../../../support/event-services.js'

const HOUR_MS = 60 * 60_000
const NO_POLICY = { minLifetimeMs: undefined, maxLifetimeMs: undefined }
const NO_BOUNDS = { allowedLifetimeMinMs: undefined, allowedLifetimeMaxMs: undefined }
const ANY: PurgeJob = {
  intervalMs: HOUR_MS,
  shortestMaxLifetimeMs: undefined,
  longestMaxLifetimeMs: undefined,
}

forEachDatabase('Retention', (open, kind) => {
  let fixture: EventFixture
  beforeEach(async () => {
    fixture = await createEventFixture(await open())
  })

  const say = (roomId: RoomId, body: string): Promise<EventId> =>
    fixture.sender.send(
      { userId: ALICE },
      { roomId, type: 'm.room.message', content: { body, msgtype: 'm.text' } },
    )

  async function limitRoom(roomId: RoomId, maxLifetime: number): Promise<void> {
    const content = { max_lifetime: maxLifetime }
    await fixture.sender.send({ userId: ALICE }, { roomId, type: 'm.room.retention', stateKey: '', content })
  }

  async function purge(job: Partial<PurgeJob> = {}, options: Partial<RetentionOptions> = {}): Promise<void> {
    const { db, clock, stores } = fixture
    const caches = new CacheRegistry(createMetrics())
    const all = { defaultPolicy: NO_POLICY, ...NO_BOUNDS, ...options }
    const retention = new Retention({
      db,
      clock,
      policies: new RetentionPolicies({ ...stores, clock, caches }, all),
      expired: new ExpiredEventsStore({ ...stores, eventSearch: new EventSearchStore() }),
      concernsAllRooms: all.defaultPolicy.maxLifetimeMs !== undefined,
    })
    await retention.purge({ ...ANY, ...job }, new AbortController().signal)
  }

  async function messagesOf(roomId: RoomId): Promise<EventId[]> {
    const timeline = await (await fixture.restart()).timeline(roomId)
    return timeline.filter(({ event }) => !event.isState()).map(({ event }) => event.eventId)
  }

  it('deletes old messages, but neither state nor the end of the history', async () => {
    const roomId = await createRoom(fixture)
    await limitRoom(roomId, HOUR_MS)
    const [first, second] = [await say(roomId, '1'), await say(roomId, '2')]
    const state = Object.keys(await fixture.currentState(roomId))
    fixture.clock.advance(HOUR_MS - 1)
    await purge()
    expect(await messagesOf(roomId)).to.deep.equal([first, second])
    fixture.clock.advance(2)
    await purge()
    expect(await messagesOf(roomId)).to.deep.equal([second])
    expect(Object.keys(await fixture.currentState(roomId))).to.deep.equal(state)
    const third = await say(roomId, '3')
    await purge()
    expect(await messagesOf(roomId)).to.deep.equal([third])
    expect(await fixture.stores.events.get(fixture.db.reader, first)).to.equal(undefined)
    expect((await fixture.stores.events.get(fixture.db.reader, third))?.event.prevEventIds).to.deep.equal([
      second,
    ])
  })

  it('leaves rooms alone that say nothing, unless there is a default', async () => {
    const roomId = await createRoom(fixture)
    const [first, second] = [await say(roomId, '1'), await say(roomId, '2')]
    fixture.clock.advance(2 * HOUR_MS)
    await purge()
    expect(await messagesOf(roomId)).to.deep.equal([first, second])
    await purge({}, { defaultPolicy: { ...NO_POLICY, maxLifetimeMs: HOUR_MS } })
    expect(await messagesOf(roomId)).to.deep.equal([second])
  })

  it('looks after the rooms of a job', async () => {
    const [short, long] = [await createRoom(fixture), await createRoom(fixture)]
    await limitRoom(short, HOUR_MS)
    await limitRoom(long, 3 * HOUR_MS)
    for (const roomId of [short, long]) for (const body of ['1', '2']) await say(roomId, body)
    fixture.clock.advance(4 * HOUR_MS)
    await purge({ shortestMaxLifetimeMs: HOUR_MS })
    expect([(await messagesOf(short)).length, (await messagesOf(long)).length]).to.deep.equal([2, 1])
    await purge({ longestMaxLifetimeMs: HOUR_MS })
    expect([(await messagesOf(short)).length, (await messagesOf(long)).length]).to.deep.equal([1, 1])
  })

  it('takes any number of messages, and what is no lifetime for none', async function () {
    // Sending that many takes a while, and nothing here is particular to a database.
    if (kind === 'postgres') this.skip()
    this.timeout(60_000)
    const [many, odd] = [await createRoom(fixture), await createRoom(fixture)]
    await limitRoom(many, HOUR_MS)
    for (const value of [-1, 1.5]) await limitRoom(odd, value).catch(() => undefined)
    const kept = [await say(odd, '1'), await say(odd, '2')]
    for (let index = 0; index < 510; index++) await say(many, String(index))
    fixture.clock.advance(2 * HOUR_MS)
    const purging = purge()
    const timer = setInterval(() => {
      fixture.clock.advance(100)
    }, 5)
    await purging.finally(() => {
      clearInterval(timer)
    })
    expect(await messagesOf(many)).to.have.length(1)
    expect(await messagesOf(odd)).to.deep.equal(kept)
  })
})
