import { expect } from 'chai'
import fc from 'fast-check'
import { MatrixError } from '../../../src/protocol/errors.js'
import type { Event } from '../../../src/protocol/event.js'
import type { EventId, RoomId, ServerName, UserId } from '../../../src/protocol/ids.js'
import type { JsonObject } from '../../../src/util/json.js'
import { openDatabase } from '../../../src/storage/open-database.js'
import { createTestDatabase, quietContext } from '../../support/databases.js'
import { ManualClock } from '../../support/manual-clock.js'
import { naiveStateBefore } from '../../support/naive-state-resolution.js'
import { SimulatedServer } from '../../support/simulated-servers.js'

const NAMES = ['a.test', 'b.test', 'c.test'] as const
const USERS = NAMES.map((name) => `@user:${name}` as UserId)
const GUEST = '@guest:a.test' as UserId

/** What happens next: somebody says something, or something that was said arrives or is lost. */
type Step =
  | { readonly kind: 'say'; readonly by: number; readonly what: number; readonly about: number }
  | { readonly kind: 'deliver'; readonly from: number; readonly to: number; readonly count: number }
  | { readonly kind: 'lose'; readonly from: number; readonly to: number }

const server = fc.nat({ max: 2 })
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('say' as const),
      by: server,
      what: fc.nat({ max: 9 }),
      about: server,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('deliver' as const),
      from: server,
      to: server,
      count: fc.integer({ min: 1, max: 4 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('lose' as const), from: server, to: server }) },
)

/** Three servers that federate, until the test cuts them off. */
class World {
  readonly servers: SimulatedServer[] = []
  readonly clock = new ManualClock()
  /** What has been sent and has not come yet, by sender and receiver. */
  readonly wires = new Map<string, Event[]>()

  find = (name: string): SimulatedServer | undefined => this.servers.find((other) => other.name === name)

  async createRoom(version: string): Promise<RoomId> {
    const [a, b, c] = this.servers as [SimulatedServer, SimulatedServer, SimulatedServer]
    this.wires.clear()
    const roomId = await a.createRoom(USERS[0]!, version, { [USERS[1]!]: 60, [USERS[2]!]: 50 })
    await b.joinThrough(a, roomId, USERS[1]!)
    const join = await c.joinThrough(a, roomId, USERS[2]!)
    await b.receive(a.name, join)
    return roomId
  }

  async say(roomId: RoomId, { by, what, about }: Extract<Step, { kind: 'say' }>): Promise<void> {
    this.clock.advance(1 + (what % 3))
    const draft = draftOf(what, USERS[about]!, USERS[by]!)
    const sender = draft.sender ?? USERS[by]!
    const from = draft.sender ? this.servers[0]! : this.servers[by]!
    try {
      const eventId = await from.events.eventSender.send({ userId: sender }, { roomId, ...draft.event })
      const stored = (await from.stored(eventId))!
      for (const to of this.servers) if (to !== from) this.#wire(from, to).push(stored.event)
    } catch (error) {
      // The rules say no: nothing happens.
      if (!(error instanceof MatrixError)) throw error
    }
  }

  async deliver(from: SimulatedServer, to: SimulatedServer, count = Infinity): Promise<void> {
    const wire = this.#wire(from, to)
    for (let index = 0; index < count && wire.length > 0; index++) await to.receive(from.name, wire.shift()!)
  }

  lose(from: SimulatedServer, to: SimulatedServer): void {
    this.#wire(from, to).shift()
  }

  async deliverAll(): Promise<void> {
    for (const from of this.servers)
      for (const to of this.servers) if (from !== to) await this.deliver(from, to)
  }

  #wire(from: SimulatedServer, to: SimulatedServer): Event[] {
    const key = `${from.name} ${to.name}`
    const wire = this.wires.get(key) ?? []
    this.wires.set(key, wire)
    return wire
  }
}

function draftOf(
  what: number,
  about: UserId,
  self: UserId,
): { sender?: UserId; event: { type: string; stateKey?: string; content: JsonObject } } {
  const member = (stateKey: UserId, membership: string) => ({
    type: 'm.room.member',
    stateKey,
    content: { membership },
  })
  switch (what) {
    case 0:
      return { event: member(about, 'ban') }
    case 1:
      return { event: member(about, 'leave') }
    case 2:
      return { event: member(self, 'join') }
    case 3:
      return {
        event: { type: 'm.room.power_levels', stateKey: '', content: { users: { [self]: 60, [about]: 50 } } },
      }
    case 4:
      return {
        event: { type: 'm.room.power_levels', stateKey: '', content: { users: { [self]: 50 }, ban: 40 } },
      }
    case 5:
      return { event: { type: 'm.room.join_rules', stateKey: '', content: { join_rule: 'invite' } } }
    case 6:
      return { sender: GUEST, event: member(GUEST, 'join') }
    case 7:
      return { event: { type: 'm.room.name', stateKey: '', content: { name: `${self} ${about}` } } }
    case 8:
      return { event: { type: 'm.room.topic', stateKey: '', content: { topic: self } } }
    default:
      return { event: { type: 'm.room.message', content: { body: 'Hello' } } }
  }
}

describe('Servers that were apart', function () {
  this.timeout(300_000)
  const world = new World()
  const closers: (() => Promise<void>)[] = []

  before(async () => {
    for (const name of NAMES) {
      const test = await createTestDatabase('sqlite')
      const db = await openDatabase(test.config, quietContext())
      closers.push(async () => {
        await db.close()
        await test.remove()
      })
      world.servers.push(await SimulatedServer.start(name, db, world.clock, world.find))
    }
  })
  after(async () => {
    for (const close of closers) await close()
  })

  async function run(version: string, steps: readonly Step[]): Promise<void> {
    const roomId = await world.createRoom(version)
    for (const next of steps) {
      if (next.kind === 'say') await world.say(roomId, next)
      else {
        const [from, to] = [world.servers[next.from]!, world.servers[next.to]!]
        if (next.kind === 'deliver') await world.deliver(from, to, next.count)
        else world.lose(from, to)
      }
    }
    // Whatever was lost is asked for when something comes that follows it.
    await world.deliverAll()
    for (const by of [0, 1, 2]) {
      await world.say(roomId, { kind: 'say', by, what: 9, about: 0 })
      await world.deliverAll()
    }
    await compare(roomId)
  }

  /** All states that more than one server has, and the last one with the naive one. */
  async function compare(roomId: RoomId): Promise<void> {
    const all = new Map<EventId, Event>()
    const states = new Map<EventId, Map<ServerName, string>>()
    for (const one of world.servers) {
      for (const { event, stateBefore } of await one.timeline(roomId)) {
        all.set(event.eventId, event)
        const state = await one.events.roomState.getStateAt(stateBefore!)
        const text = state
          .map((stored) => stored.event.eventId)
          .sort()
          .join()
        const known = states.get(event.eventId) ?? new Map<ServerName, string>()
        states.set(event.eventId, known.set(one.name, text))
      }
    }
    for (const [eventId, byServer] of states) {
      expect(new Set(byServer.values()).size, `${eventId} ${JSON.stringify([...byServer])}`).to.equal(1)
    }
    const complete = await withAuthChains(all)
    const last = [...all.values()].sort((a, b) => b.depth - a.depth)[0]!
    const naive = [...naiveStateBefore(last, complete).values()].sort().join()
    expect([...states.get(last.eventId)!.values()][0]).to.equal(naive)
  }

  /** The beginnings of the room are outliers where they were joined. */
  async function withAuthChains(events: ReadonlyMap<EventId, Event>): Promise<Map<EventId, Event>> {
    const complete = new Map(events)
    const missing = [...events.values()].flatMap(({ authEventIds, prevEventIds }) => [
      ...authEventIds,
      ...prevEventIds,
    ])
    for (const id of missing) {
      const stored = complete.has(id) ? undefined : await world.servers[0]!.stored(id)
      if (stored) complete.set(id, stored.event)
    }
    return complete
  }

  for (const version of ['1', '2', '6', '10', '11', '12']) {
    it(`come to one state in version ${version}, whatever was late or lost`, async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), (steps) => run(version, steps)),
        { numRuns: Number(process.env['MXHS_CONVERGENCE_RUNS'] ?? 25), endOnFailure: true },
      )
    })
  }
})
