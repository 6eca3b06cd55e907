import fc from 'fast-check'
import { MatrixError } from '../../src/protocol/errors.js'
import type { Event } from '../../src/protocol/event.js'
import type { RoomId, UserId } from '../../src/protocol/ids.js'
import { ManualClock } from './manual-clock.js'
import { DRAFT_KINDS, draftOf, memberDraft, type RandomDraft } from './random-drafts.js'
import { SimulatedServer } from './simulated-servers.js'

export const PARTED_NAMES = ['a.test', 'b.test', 'c.test'] as const
const USERS = PARTED_NAMES.map((name) => `@user:${name}` as UserId)
/** Whom nobody has let in, or who comes and goes. */
const GUEST = '@guest:a.test' as UserId

/** What happens next: somebody says something, or what was said arrives, comes late or is lost, or a server goes. */
export type PartedStep =
  | { readonly kind: 'say'; readonly by: number; readonly what: number; readonly about: number }
  | { readonly kind: 'guest'; readonly membership: 'join' | 'leave' | 'knock' | 'invite' | 'ban' }
  | { readonly kind: 'redact'; readonly by: number; readonly which: number }
  | { readonly kind: 'chat'; readonly by: number; readonly count: number }
  | { readonly kind: 'deliver' | 'lose'; readonly from: number; readonly to: number; readonly count: number }
  | { readonly kind: 'delay' | 'cut' | 'heal'; readonly from: number; readonly to: number }
  | { readonly kind: 'restart'; readonly server: number }

const server = fc.nat({ max: 2 })
const pair = { from: server, to: server }
const kind = <K extends string>(...kinds: K[]): fc.Arbitrary<K> => fc.constantFrom(...kinds)

export const partedStep: fc.Arbitrary<PartedStep> = fc.oneof(
  {
    weight: 26,
    arbitrary: fc.record({
      kind: kind('say'),
      by: server,
      what: fc.nat({ max: DRAFT_KINDS - 1 }),
      about: server,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: kind('guest'),
      membership: kind('join', 'leave', 'knock', 'invite', 'ban'),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: kind('redact'), by: server, which: fc.nat() }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: kind('chat'), by: server, count: fc.integer({ min: 5, max: 22 }) }),
  },
  {
    weight: 12,
    arbitrary: fc.record({ kind: kind('deliver'), ...pair, count: fc.integer({ min: 1, max: 6 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: kind('lose'), ...pair, count: fc.constantFrom(1, 1, 2, 30) }),
  },
  { weight: 6, arbitrary: fc.record({ kind: kind('delay', 'cut', 'heal'), ...pair }) },
  { weight: 2, arbitrary: fc.record({ kind: kind('restart'), server }) },
)

/** Three servers that federate, as far as the steps of a test let them. */
export class PartedServers {
  readonly clock = new ManualClock()
  readonly #servers: SimulatedServer[] = []
  /** What has been sent and has not come yet, by sender and receiver. */
  readonly #wires = new Map<string, Event[]>()
  /** Pairs of which the first cannot ask the second. */
  readonly #cut = new Set<string>()
  #transactions = 0

  get list(): readonly SimulatedServer[] {
    return this.#servers
  }

  /** Adds the next of the three, on a migrated database without rows. */
  async add(db: SimulatedServer['db']): Promise<void> {
    const index = this.#servers.length
    const name = PARTED_NAMES[index]!
    this.#servers.push(await SimulatedServer.start(name, db, this.clock, (from, to) => this.#reach(from, to)))
  }

  /** A public room of the first server that the users of all three are in. Nothing is cut or under way any more. */
  async createRoom(version: string): Promise<RoomId> {
    const [a, b, c] = this.#servers as [SimulatedServer, SimulatedServer, SimulatedServer]
    this.#wires.clear()
    this.#cut.clear()
    const roomId = await a.createRoom(USERS[0]!, version, { [USERS[1]!]: 60, [USERS[2]!]: 50 })
    await b.joinThrough(a, roomId, USERS[1]!)
    const join = await c.joinThrough(a, roomId, USERS[2]!)
    await this.#transmit(a, b, [join])
    await b.inbound.inbox.settle()
    return roomId
  }

  async take(roomId: RoomId, step: PartedStep): Promise<void> {
    this.clock.advance(1)
    switch (step.kind) {
      case 'say':
        await this.#send(roomId, step.by, draftOf(step.what, USERS[step.about]!, USERS[step.by]!))
        return
      case 'guest': {
        const isOwn = ['join', 'leave', 'knock'].includes(step.membership)
        await this.#send(roomId, 0, memberDraft(GUEST, step.membership), isOwn ? GUEST : undefined)
        return
      }
      case 'redact':
        await this.#redact(roomId, step)
        return
      case 'chat':
        for (let said = 0; said < step.count; said++) await this.say(roomId, step.by)
        return
      case 'restart':
        await this.#restart(step.server)
        return
      default:
        await this.#onWire(step)
    }
  }

  /** Somebody of a server says something that changes no state. */
  say(roomId: RoomId, by: number): Promise<void> {
    return this.#send(roomId, by, { type: 'm.room.message', content: { body: 'Hello' } })
  }

  /** Everybody can reach everybody, and has what was sent and not lost. */
  async settle(): Promise<void> {
    this.#cut.clear()
    for (const from of PARTED_NAMES.keys()) {
      for (const to of PARTED_NAMES.keys()) await this.#deliver(from, to, Infinity)
    }
  }

  async #onWire(
    step: Exclude<PartedStep, { kind: 'say' | 'guest' | 'redact' | 'chat' | 'restart' }>,
  ): Promise<void> {
    const { from, to } = step
    const wire = this.#wire(from, to)
    const link = `${PARTED_NAMES[to]} ${PARTED_NAMES[from]}`
    switch (step.kind) {
      case 'deliver':
        await this.#deliver(from, to, step.count)
        return
      case 'lose':
        wire.splice(0, step.count)
        return
      case 'delay':
        wire.push(...wire.splice(0, 1))
        return
      case 'cut':
        this.#cut.add(link)
        return
      case 'heal':
        this.#cut.delete(link)
    }
  }

  async #send(roomId: RoomId, by: number, draft: RandomDraft, sender = USERS[by]!): Promise<void> {
    const from = this.#servers[by]!
    try {
      const eventId = await from.events.eventSender.send({ userId: sender }, { roomId, ...draft })
      const stored = (await from.stored(eventId))!
      for (const to of PARTED_NAMES.keys()) if (to !== by) this.#wire(by, to).push(stored.event)
    } catch (error) {
      // The rules say no: nothing happens.
      if (!(error instanceof MatrixError)) throw error
    }
  }

  async #redact(roomId: RoomId, { by, which }: { by: number; which: number }): Promise<void> {
    const timeline = await this.#servers[by]!.timeline(roomId)
    // Without its beginnings there is no room.
    const redactable = timeline.filter(
      ({ event }) => !['m.room.create', 'm.room.redaction'].includes(event.type),
    )
    const { event } = redactable[which % redactable.length]!
    await this.#send(roomId, by, { type: 'm.room.redaction', content: { redacts: event.eventId } })
  }

  async #deliver(from: number, to: number, count: number): Promise<void> {
    const wire = this.#wire(from, to)
    const [sender, receiver] = [this.#servers[from]!, this.#servers[to]!]
    while (count > 0 && wire.length > 0) {
      const some = wire.splice(0, Math.min(count, 50))
      await this.#transmit(sender, receiver, some)
      count -= some.length
    }
    await receiver.inbound.inbox.settle()
  }

  async #transmit(from: SimulatedServer, to: SimulatedServer, events: readonly Event[]): Promise<void> {
    await to.receive(from.name, String(this.#transactions++), events)
  }

  /** A server stops while it deals with whatever is under way to it, and starts anew. */
  async #restart(index: number): Promise<void> {
    const server = this.#servers[index]!
    for (const from of PARTED_NAMES.keys()) {
      const events = this.#wire(from, index).splice(0, 50)
      if (events.length > 0) await this.#transmit(this.#servers[from]!, server, events)
    }
    this.#servers[index] = await server.restart()
  }

  /** A server that another asks something; undefined while it cannot. */
  #reach(from: string, to: string): SimulatedServer | undefined {
    return this.#cut.has(`${from} ${to}`) ? undefined : this.#servers.find(({ name }) => name === to)
  }

  #wire(from: number, to: number): Event[] {
    const key = `${from} ${to}`
    const wire = this.#wires.get(key) ?? []
    this.#wires.set(key, wire)
    return wire
  }
}
