import { expect } from 'chai'
import fc from 'fast-check'
import type { Event } from '../../../src/protocol/event.js'
import type { EventId, RoomId, ServerName } from '../../../src/protocol/ids.js'
import { ROOM_VERSIONS } from '../../../src/protocol/room-versions.js'
import { openDatabase } from '../../../src/storage/open-database.js'
import { createTestDatabase, quietContext } from '../../support/databases.js'
import { naiveStateBefore } from '../../support/naive-state-resolution.js'
import { PARTED_NAMES, PartedServers, partedStep, type PartedStep } from '../../support/parted-servers.js'

/** Runs of each version; some thousands take minutes. */
const RUNS = Number(process.env['MXHS_CONVERGENCE_RUNS'] ?? 25)

describe('Servers that were apart', function () {
  this.timeout(60_000 + RUNS * 10_000)
  const world = new PartedServers()
  const closers: (() => Promise<void>)[] = []

  before(async () => {
    for (const _ of PARTED_NAMES) {
      const test = await createTestDatabase('sqlite')
      const db = await openDatabase(test.config, quietContext())
      closers.push(async () => {
        await db.close()
        await test.remove()
      })
      await world.add(db)
    }
  })
  after(async () => {
    for (const close of closers) await close()
  })

  async function run(version: string, steps: readonly PartedStep[]): Promise<void> {
    const roomId = await world.createRoom(version)
    for (const next of steps) await world.take(roomId, next)
    // Whatever was lost is asked for when something comes that follows it.
    await world.settle()
    for (const by of PARTED_NAMES.keys()) {
      await world.say(roomId, by)
      await world.settle()
    }
    await compare(roomId)
  }

  /** All states that more than one server has, and the last one with the naive one. */
  async function compare(roomId: RoomId): Promise<void> {
    const all = new Map<EventId, Event>()
    const states = new Map<EventId, Map<ServerName, string>>()
    for (const one of world.list) {
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
      const stored = complete.has(id) ? undefined : await world.list[0]!.stored(id)
      if (stored) complete.set(id, stored.event)
    }
    return complete
  }

  for (const version of ROOM_VERSIONS.keys()) {
    it(`come to one state in version ${version}, whatever was late or lost`, async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(partedStep, { minLength: 5, maxLength: 60 }), (steps) =>
          run(version, steps),
        ),
        // A second run of the same steps has other IDs: there is nothing to shrink.
        { numRuns: RUNS, endOnFailure: true },
      )
    })
  }
})
