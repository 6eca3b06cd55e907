import { expect } from 'chai'
import fc from 'fast-check'
import type { Event } from '../../../src/protocol/event.js'
import type { EventId, RoomId } from '../../../src/protocol/ids.js'
import { ROOM_VERSIONS } from '../../../src/protocol/room-versions.js'
import { createEventStores, type EventStores } from '../../../src/server/wire-events.js'
import { CacheRegistry } from '../../../src/storage/cache-registry.js'
import type { Database } from '../../../src/storage/database.js'
import { openDatabase } from '../../../src/storage/open-database.js'
import { createLogger } from '../../../src/telemetry/logger.js'
import { createMetrics } from '../../../src/telemetry/metrics.js'
import type { JsonObject, JsonValue } from '../../../src/util/json.js'
import { quietContext } from '../../support/databases.js'
import { startFederation, type TestFederation } from '../../support/federation.js'
import {
  eventsAt,
  path,
  syncJoinedTo,
  syncTimelineHasEventId,
  type ClientSession,
  type MatrixClient,
  type SyncCheck,
} from '../../support/matrix-client.js'
import { naiveStateBefore } from '../../support/naive-state-resolution.js'

const NAMES = ['a.test', 'b.test', 'c.test'] as const
/** Runs of each version; without it a few for all of them. */
const RUNS = process.env['MXHS_FEDERATION_RUNS']
const VERSIONS = RUNS === undefined ? ['2', '6', '12'] : [...ROOM_VERSIONS.keys()]
const DEADLINE_MS = 60_000

type Step =
  | { readonly kind: 'say'; readonly by: number; readonly what: number; readonly about: number }
  | { readonly kind: 'cut' | 'heal' | 'drop'; readonly between: number }
  | { readonly kind: 'delay'; readonly between: number; readonly ms: number }
  | { readonly kind: 'restart'; readonly server: number }

const server = fc.nat({ max: 2 })
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 20,
    arbitrary: fc.record({
      kind: fc.constant('say' as const),
      by: server,
      what: fc.nat({ max: 9 }),
      about: server,
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom('cut' as const, 'heal' as const, 'drop' as const),
      between: server,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('delay' as const),
      between: server,
      ms: fc.constantFrom(0, 5, 40),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const), server }) },
)

/** One of three servers, and who uses it. */
interface Place {
  readonly name: string
  /** Who says what the steps say, and is banned and let in again. */
  readonly user: ClientSession
  /** Who is in every room, whatever happens. */
  readonly witness: ClientSession
  /** A second look at the server's database. */
  readonly db: Database
  readonly stores: EventStores
}

describe('Three servers, whatever happens between them', function () {
  this.timeout(RUNS === undefined ? 180_000 : 3_600_000)
  let servers: TestFederation
  const places: Place[] = []
  /** Servers that are starting anew. */
  const restarts = new Map<string, Promise<void>>()

  before(async () => {
    // What does not get through is logged, and is expected here.
    const log = await createLogger({ level: 'silent', destination: { write: () => undefined } })
    servers = await startFederation(NAMES, {
      log,
      config: {
        federation: {
          max_short_retries: 0,
          destination_min_retry_interval: 50,
          destination_max_retry_interval: 200,
        },
      },
    })
    for (const name of NAMES) {
      const homeserver = servers.get(name)
      places.push({
        name,
        user: sessionOf(await homeserver.register('user')),
        witness: sessionOf(await homeserver.register('witness')),
        db: await openDatabase(homeserver.config.database, quietContext()),
        stores: createEventStores(new CacheRegistry(createMetrics()), { eventCacheSize: 10_000 }),
      })
    }
  })
  after(async () => {
    await Promise.all(restarts.values())
    for (const { db } of places) await db.close()
    await servers[Symbol.asyncDispose]()
  })

  async function clientOf(place: Place, who: 'user' | 'witness'): Promise<MatrixClient> {
    await restarts.get(place.name)
    return servers.get(place.name).client().withSession(place[who])
  }

  async function createRoom(version: string): Promise<RoomId> {
    const [a, b, c] = places as [Place, Place, Place]
    const creator = await clientOf(a, 'user')
    const users = {
      [b.user.userId]: 60,
      [c.user.userId]: 50,
      ...(version !== '12' && { [a.user.userId]: 100 }),
    }
    const roomId = await creator.createRoom({
      preset: 'public_chat',
      room_version: version,
      power_level_content_override: { users, events: {}, state_default: 50 },
    })
    const others = [
      await clientOf(a, 'witness'),
      await clientOf(b, 'user'),
      await clientOf(b, 'witness'),
      await clientOf(c, 'user'),
      await clientOf(c, 'witness'),
    ]
    for (const client of others) await client.join(roomId, { via: [a.name] })
    for (const place of places) {
      const witness = await clientOf(place, 'witness')
      await syncUntil(
        witness,
        [creator, ...others].map(({ userId }) => syncJoinedTo(roomId, userId)),
      )
    }
    return roomId as RoomId
  }

  async function take(roomId: RoomId, next: Step): Promise<void> {
    if (next.kind === 'say') {
      await say(roomId, next)
      return
    }
    if (next.kind === 'restart') {
      const { name } = places[next.server]!
      // The others go on meanwhile.
      restarts.set(
        name,
        (restarts.get(name) ?? Promise.resolve()).then(() => servers.get(name).restart()),
      )
      return
    }
    const from = NAMES[next.between]!
    const to = NAMES[(next.between + 1) % 3]!
    if (next.kind === 'cut') await servers.cut(from, to)
    if (next.kind === 'heal') await servers.heal(from, to)
    for (const [one, other] of [
      [from, to],
      [to, from],
    ] as const) {
      if (next.kind === 'drop') await servers.network.reset(one, other)
      if (next.kind === 'delay') await servers.network.setDelay(one, other, next.ms)
    }
  }

  async function say(roomId: RoomId, { by, what, about }: Extract<Step, { kind: 'say' }>): Promise<void> {
    const client = await clientOf(places[by]!, 'user')
    const { type, stateKey, content } = draftOf(what, places[about]!.user.userId, client.userId)
    const target =
      stateKey === undefined
        ? path`/_matrix/client/v3/rooms/${roomId}/send/${type}/${String(Math.random())}`
        : path`/_matrix/client/v3/rooms/${roomId}/state/${type}/${stateKey}`
    const { status, text } = await client.request('PUT', target, { body: content })
    // The rules may say no: then nothing happens.
    expect(status, text).to.be.oneOf([200, 400, 403, 404])
  }

  /** Everybody can reach everybody again. */
  async function calm(): Promise<void> {
    await Promise.all(restarts.values())
    restarts.clear()
    for (const index of [0, 1, 2]) await servers.heal(NAMES[index]!, NAMES[(index + 1) % 3]!)
    for (const one of NAMES) {
      for (const other of NAMES) if (one !== other) await servers.network.setDelay(one, other, 0)
    }
  }

  async function run(version: string, steps: readonly Step[]): Promise<void> {
    const roomId = await createRoom(version)
    for (const next of steps) await take(roomId, next)
    await calm()
    const witnesses = await Promise.all(places.map((place) => clientOf(place, 'witness')))
    // Each server's branches end with what its witness says, and all of them with the last word.
    const said = []
    for (const witness of witnesses) said.push(await witness.sendText(roomId, 'I have seen it'))
    const [first] = witnesses
    await syncUntil(
      first!,
      said.map((id) => syncTimelineHasEventId(roomId, id)),
    )
    const last = await first!.sendText(roomId, 'The last word')
    for (const witness of witnesses) await syncUntil(witness, [syncTimelineHasEventId(roomId, last)])
    const states = await Promise.all(witnesses.map((witness) => stateOf(witness, roomId)))
    const naive = await naiveState(roomId, last as EventId)
    for (const [index, state] of states.entries()) expect(state, NAMES[index]).to.deep.equal(naive)
  }

  async function stateOf(witness: MatrixClient, roomId: string): Promise<string[]> {
    const { text } = await witness.request('GET', path`/_matrix/client/v3/rooms/${roomId}/state`)
    const state = eventsAt(JSON.parse(text) as JsonValue)
    return state.map((event) => event['event_id'] as string).sort()
  }

  /** The state before an event, worked out of all events that any of the servers has. */
  async function naiveState(roomId: RoomId, last: EventId): Promise<string[]> {
    const all = new Map<EventId, Event>()
    for (const { db, stores } of places) {
      const rows = await db.reader.all<{ event_nid: number }>(
        'SELECT e.event_nid FROM events e JOIN rooms r ON r.room_nid = e.room_nid WHERE r.room_id = ?',
        [roomId],
      )
      const events = await stores.events.getByNids(
        db.reader,
        rows.map((row) => row.event_nid),
      )
      for (const { event } of events.values()) all.set(event.eventId, event)
    }
    return [...naiveStateBefore(all.get(last)!, all).values()].sort()
  }

  for (const version of VERSIONS) {
    it(`come to the same state in version ${version}`, async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 30 }), (steps) => run(version, steps)),
        // A second run of the same steps goes another way: there is nothing to shrink.
        { numRuns: Number(RUNS ?? 1), endOnFailure: true },
      )
    })
  }
})

async function syncUntil(client: MatrixClient, checks: readonly SyncCheck[]): Promise<void> {
  const open = new Set(checks)
  const deadline = Date.now() + DEADLINE_MS
  let since: string | undefined
  const filter = { room: { timeline: { limit: 100 } } }
  while (open.size > 0) {
    if (Date.now() > deadline)
      throw new Error(`${client.userId} has not seen ${open.size} of what was waited for`)
    const response = await client.sync({ since, filter, timeout: since === undefined ? 0 : 1_000 })
    for (const check of open) if (check(response, client)) open.delete(check)
    since = response['next_batch'] as string
  }
}

function sessionOf({ userId, deviceId, accessToken }: MatrixClient): ClientSession {
  return { userId, deviceId, accessToken }
}

function draftOf(
  what: number,
  about: string,
  self: string,
): { type: string; stateKey?: string; content: JsonObject } {
  const member = (stateKey: string, membership: string) => ({
    type: 'm.room.member',
    stateKey,
    content: { membership },
  })
  switch (what) {
    case 0:
      return member(about, 'ban')
    case 1:
      return member(about, 'leave')
    case 2:
      return member(self, 'join')
    case 3:
      return {
        type: 'm.room.power_levels',
        stateKey: '',
        content: { users: { [self]: 60, [about]: 50 } },
      }
    case 4:
      return { type: 'm.room.power_levels', stateKey: '', content: { users: { [self]: 50 }, ban: 40 } }
    case 5:
      return { type: 'm.room.join_rules', stateKey: '', content: { join_rule: 'invite' } }
    case 6:
      return { type: 'm.room.join_rules', stateKey: '', content: { join_rule: 'public' } }
    case 7:
      return { type: 'm.room.name', stateKey: '', content: { name: `${self} ${about}` } }
    case 8:
      return { type: 'm.room.topic', stateKey: '', content: { topic: self } }
    default:
      return { type: 'm.room.message', content: { msgtype: 'm.text', body: 'Hello' } }
  }
}
