import { expect } from 'chai'
import fc from 'fast-check'
import {
  RoomAuthChains,
  type AuthChainsParts,
  type UnplacedEvent,
} from '../../../../src/services/takeover/auth-chains.js'
import type { AuthChainPosition } from '../../../../src/storage/auth-reach.js'
import { stateKeyOf } from '../../../../src/protocol/state-map.js'

/** Nothing has been placed before. */
function chains(): RoomAuthChains {
  let last = 0
  const nothing = () => Promise.resolve(new Map())
  return new RoomAuthChains({
    db: { reader: undefined },
    graph: { getAuthPositions: nothing, getChainTips: nothing },
    takeover: { listStateKeys: nothing },
    chainIds: { next: () => Promise.resolve(++last) },
  } as unknown as AuthChainsParts)
}

/** Events 1 to n, each with a few before it as auth events, and one of three state keys. */
const graph = fc
  .array(fc.record({ key: fc.nat(2), auth: fc.array(fc.nat(30), { maxLength: 4 }) }), { maxLength: 30 })
  .map((plans) =>
    plans.map(({ key, auth }, index): UnplacedEvent => ({
      eventNid: index + 1,
      key: stateKeyOf('m.test', String(key)),
      authNids: index === 0 ? [] : [...new Set(auth.map((n) => (n % index) + 1))],
    })),
  )

function ancestors(events: readonly UnplacedEvent[], nid: number): Set<number> {
  const all = new Set<number>()
  const open = [nid]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const auth of events[next - 1]?.authNids ?? []) {
      if (all.has(auth)) continue
      all.add(auth)
      open.push(auth)
    }
  }
  return all
}

describe('RoomAuthChains', () => {
  it('covers just the auth chain of every event, in whatever order and portions they come', async () => {
    const portions = fc.record({
      order: fc.array(fc.nat(), { maxLength: 30 }),
      size: fc.integer({ min: 1, max: 7 }),
    })
    await fc.assert(
      fc.asyncProperty(graph, portions, async (events, { order, size }) => {
        const shuffled = events
          .map((event, index) => ({ event, at: order[index] ?? 0 }))
          .sort((a, b) => a.at - b.at)
          .map(({ event }) => event)
        const room = chains()
        const placed = new Map<number, AuthChainPosition>()
        for (let start = 0; start < shuffled.length; start += size) {
          for (const [nid, position] of await room.place(shuffled.slice(start, start + size)))
            placed.set(nid, position)
        }
        expect(await room.placeRest()).to.have.property('size', 0)
        expect(placed.size).to.equal(events.length)
        for (const { eventNid } of events) {
          const { reach } = placed.get(eventNid)!
          const covered = [...placed].filter(([, { chainNid, seq }]) => (reach.get(chainNid) ?? 0) >= seq)
          expect(covered.map(([nid]) => nid)).to.have.members([...ancestors(events, eventNid)])
        }
      }),
    )
  })

  it('places those whose auth events never come without them', async () => {
    const room = chains()
    const orphan = { eventNid: 2, key: stateKeyOf('m.test', ''), authNids: [1] }
    expect(await room.place([orphan])).to.have.property('size', 0)
    expect([...(await room.placeRest()).keys()]).to.deep.equal([2])
  })

  it('covers what is there of others', async () => {
    const room = chains()
    const key = stateKeyOf('m.test', '')
    await room.place([
      { eventNid: 2, key, authNids: [3] },
      { eventNid: 3, key, authNids: [1] },
    ])
    const placed = await room.placeRest()
    const { chainNid, seq } = placed.get(3)!
    expect([...placed.keys()]).to.deep.equal([3, 2])
    expect(placed.get(2)!.reach.get(chainNid)).to.equal(seq)
  })
})
