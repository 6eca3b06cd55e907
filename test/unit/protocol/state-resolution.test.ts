import { expect } from 'chai'
import fc from 'fast-check'
import type { EventId } from '../../../src/protocol/ids.js'
import { stateKeyOf, type StateMap } from '../../../src/protocol/state-map.js'
import { resolveState } from '../../../src/protocol/state-resolution.js'
import type { JsonObject } from '../../../src/util/json.js'
import { versions, type PlainEvent } from '../../support/auth-room.js'
import { authDifference, conflictedSubgraph, resolveNaively } from '../../support/naive-state-resolution.js'
import { StateGraph, type GraphNode } from '../../support/state-graph.js'

const USERS = ['@alice:example.org', '@bob:example.org', '@carol:example.org', '@dave:other.example']
const [alice, bob, carol, dave] = USERS as [string, string, string, string]

function resolve(
  graph: StateGraph,
  states: readonly StateMap[],
  rejected: readonly EventId[] = [],
): StateMap {
  return resolveState({
    rules: graph.rules,
    stateSets: states,
    authDifference: authDifference(states, graph.events),
    conflictedSubgraph: conflictedSubgraph(states, graph.events),
    getEvent: (id) => graph.events.get(id),
    isRejected: (id) => rejected.includes(id),
  })
}

/** A room of Alice's in which everybody is and may do something. */
function startRoom(version: string): StateGraph {
  const graph = new StateGraph(version, alice)
  const send = (plain: PlainEvent): void => {
    if (!graph.send(plain)) throw new Error(`${plain.type} was refused`)
  }
  send(member(alice, 'join'))
  const users: JsonObject = { [bob]: 50, [carol]: 50, ...(version !== '12' && { [alice]: 100 }) }
  send(state(alice, 'm.room.power_levels', { users }))
  send(state(alice, 'm.room.join_rules', { join_rule: 'public' }))
  for (const user of [bob, carol, dave]) send(member(user, 'join'))
  return graph
}

function member(userId: string, membership: string, sender = userId): PlainEvent {
  return { type: 'm.room.member', sender, stateKey: userId, content: { membership } }
}

function state(sender: string, type: string, content: JsonObject): PlainEvent {
  return { type, sender, stateKey: '', content }
}

interface Command {
  readonly actor: number
  readonly kind: number
  readonly target: number
  readonly value: number
  readonly ts: number
  readonly after: readonly number[]
}

const commands: fc.Arbitrary<Command[]> = fc.array(
  fc.record({
    actor: fc.nat(3),
    kind: fc.nat(7),
    target: fc.nat(3),
    value: fc.nat(2),
    // Few different times, and none that follows the graph: clocks are wrong, and ties must be broken.
    ts: fc.nat(5),
    after: fc.array(fc.nat(1000), { minLength: 1, maxLength: 3 }),
  }),
  { minLength: 1, maxLength: 25 },
)

function toEvent({ actor, kind, target, value, ts }: Command, version: string): PlainEvent {
  const sender = USERS[actor]!
  const other = USERS[target]!
  const plain = ((): PlainEvent => {
    switch (kind) {
      case 0: {
        const users: JsonObject = {
          [bob]: 50,
          [carol]: 50,
          [dave]: 0,
          ...(version !== '12' && { [alice]: 100 }),
        }
        if (other !== alice || version !== '12') users[other] = [0, 50, 100][value]!
        return state(sender, 'm.room.power_levels', { users, ban: [50, 0, 50][value]! })
      }
      case 1:
        return state(sender, 'm.room.join_rules', { join_rule: ['public', 'invite', 'public'][value]! })
      case 2:
        return member(other, 'ban', sender)
      case 3:
        return member(other, 'leave', sender)
      case 4:
        return member(other, 'invite', sender)
      case 5:
        return { ...member(sender, 'join'), content: { membership: 'join', displayname: String(value) } }
      case 6:
        return state(sender, 'm.room.topic', { topic: String(value) })
      default:
        return { type: 'm.room.message', sender }
    }
  })()
  return { ...plain, originServerTs: ts }
}

/** Runs commands on a room; each event follows some of the last few. */
function grow(version: string, given: readonly Command[]): StateGraph {
  const graph = startRoom(version)
  const start = graph.nodes.length - 1
  for (const command of given) {
    const recent = graph.nodes.slice(Math.max(start, graph.nodes.length - 6))
    const after = [...new Set(command.after.map((index) => recent[index % recent.length]!))]
    graph.send(toEvent(command, version), after)
  }
  return graph
}

function lastStates(graph: StateGraph, count: number): StateMap[] {
  return graph.nodes.slice(-count).map((node: GraphNode) => node.stateAfter)
}

function plain(map: StateMap): Record<string, string> {
  return Object.fromEntries([...map].sort(([a], [b]) => (a < b ? -1 : 1)))
}

describe('resolveState', () => {
  for (const version of ['1', '2', '6', '11', '12']) {
    it(`agrees with a second implementation on random graphs of version ${version}`, function () {
      this.timeout(60_000)
      fc.assert(
        fc.property(commands, fc.integer({ min: 2, max: 4 }), (given, count) => {
          const graph = grow(version, given)
          const states = lastStates(graph, count)
          expect(plain(resolve(graph, states))).to.deep.equal(
            plain(resolveNaively(graph.rules, states, graph.events)),
          )
        }),
        { numRuns: 150 },
      )
    })

    it(`does not depend on the order of the states in version ${version}`, function () {
      this.timeout(60_000)
      fc.assert(
        fc.property(commands, (given) => {
          const graph = grow(version, given)
          const [a, b, c] = lastStates(graph, 3) as [StateMap, StateMap, StateMap]
          const expected = plain(resolve(graph, [a, b, c]))
          for (const states of [
            [a, c, b],
            [b, a, c],
            [b, c, a],
            [c, a, b],
            [c, b, a],
            [c, b, a, b, a],
          ]) {
            expect(plain(resolve(graph, states))).to.deep.equal(expected)
          }
        }),
        { numRuns: 50 },
      )
    })

    it(`keeps what is undisputed and invents nothing in version ${version}`, function () {
      this.timeout(60_000)
      fc.assert(
        fc.property(commands, (given) => {
          const graph = grow(version, given)
          const states = lastStates(graph, 3)
          const resolved = resolve(graph, states)
          for (const [key, id] of states[0]!) {
            if (states.every((other) => other.get(key) === id)) expect(resolved.get(key)).to.equal(id)
          }
          for (const key of resolved.keys()) expect(states.some((other) => other.has(key))).to.be.true
        }),
        { numRuns: 50 },
      )
    })
  }

  for (const version of versions(1, 12)) {
    it(`gives one state back, and the same state several times, in version ${version}`, () => {
      const graph = startRoom(version)
      const [only] = lastStates(graph, 1) as [StateMap]
      expect(resolve(graph, [only])).to.equal(only)
      expect(plain(resolve(graph, [only, new Map(only)]))).to.deep.equal(plain(only))
      expect(resolve(graph, [])).to.deep.equal(new Map())
    })
  }
})

describe('resolveState: stories', () => {
  const TOPIC = stateKeyOf('m.room.topic', '')
  const POWER = stateKeyOf('m.room.power_levels', '')

  function branches(
    version: string,
    left: readonly PlainEvent[],
    right: readonly PlainEvent[],
  ): {
    graph: StateGraph
    ends: [GraphNode[], GraphNode[]]
    resolved: StateMap
  } {
    const graph = startRoom(version)
    const root = graph.nodes.at(-1)!
    const follow = (events: readonly PlainEvent[]): GraphNode[] => {
      const nodes: GraphNode[] = []
      for (const event of events) {
        const node = graph.send(event, [nodes.at(-1) ?? root])
        if (!node) throw new Error(`${event.type} by ${event.sender} was refused`)
        nodes.push(node)
      }
      return nodes
    }
    const ends: [GraphNode[], GraphNode[]] = [follow(left), follow(right)]
    const states = ends.map((nodes) => (nodes.at(-1) ?? root).stateAfter)
    return { graph, ends, resolved: resolve(graph, states) }
  }

  for (const version of versions(2, 12)) {
    it(`does not let a banned user's topic win in version ${version}`, () => {
      const { ends, resolved } = branches(
        version,
        [{ ...member(bob, 'ban', alice), originServerTs: 10 }],
        [{ ...state(bob, 'm.room.topic', { topic: 'mine' }), originServerTs: 20 }],
      )
      expect(resolved.get(stateKeyOf('m.room.member', bob))).to.equal(ends[0][0]!.event.eventId)
      expect(resolved.has(TOPIC)).to.be.false
    })

    it(`lets the more powerful change of power levels win in version ${version}`, () => {
      const users = { [bob]: 50, [carol]: 50, ...(version !== '12' && { [alice]: 100 }) }
      const { ends, resolved } = branches(
        version,
        [{ ...state(alice, 'm.room.power_levels', { users: { ...users, [bob]: 0 } }), originServerTs: 50 }],
        [{ ...state(bob, 'm.room.power_levels', { users: { ...users, [dave]: 50 } }), originServerTs: 1 }],
      )
      expect(resolved.get(POWER)).to.equal(ends[0][0]!.event.eventId)
    })

    it(`takes the later of two topics of one mainline in version ${version}`, () => {
      const { ends, resolved } = branches(
        version,
        [{ ...state(bob, 'm.room.topic', { topic: 'a' }), originServerTs: 200 }],
        [{ ...state(carol, 'm.room.topic', { topic: 'b' }), originServerTs: 100 }],
      )
      expect(resolved.get(TOPIC)).to.equal(ends[0][0]!.event.eventId)
    })
  }

  it('brings back what a state lacks and no event has taken away', () => {
    for (const version of versions(2, 12)) {
      const graph = startRoom(version)
      const whole = graph.nodes.at(-1)!.stateAfter
      const without = new Map(whole)
      without.delete(stateKeyOf('m.room.join_rules', ''))
      expect(plain(resolve(graph, [whole, without]))).to.deep.equal(plain(whole))
    }
  })

  /** Two topics, of Bob and before it of Carol; in both states some people have left since. */
  function topicsOfThoseWhoLeft(
    version: string,
    gone: readonly string[],
  ): { ends: [GraphNode[], GraphNode[]]; resolved: StateMap } {
    const { graph, ends } = branches(
      version,
      [{ ...state(bob, 'm.room.topic', { topic: 'a' }), originServerTs: 20 }],
      [
        { ...state(carol, 'm.room.name', { name: 'deeper' }), originServerTs: 10 },
        { ...state(carol, 'm.room.topic', { topic: 'b' }), originServerTs: 10 },
      ],
    )
    const left = gone.map((userId) => graph.send(member(userId, 'leave'), [graph.nodes[6]!])!)
    const states = ends.map((nodes) => {
      const after = new Map(nodes.at(-1)!.stateAfter)
      for (const { event } of left) after.set(stateKeyOf('m.room.member', event.sender), event.eventId)
      return after
    })
    return { ends, resolved: resolve(graph, states) }
  }

  it('judges by what is undisputed up to version 11, by the auth events alone in version 12', () => {
    for (const version of versions(2, 12)) {
      const { ends, resolved } = topicsOfThoseWhoLeft(version, [bob])
      const winner = version === '12' ? ends[0].at(-1)! : ends[1].at(-1)!
      expect(resolved.get(TOPIC), version).to.equal(winner.event.eventId)
    }
  })

  it('takes the least deep event where none is allowed in version 1', () => {
    const { ends, resolved } = topicsOfThoseWhoLeft('1', [bob, carol])
    expect(resolved.get(TOPIC)).to.equal(ends[0].at(-1)!.event.eventId)
  })

  it('does not judge by auth events that were rejected', () => {
    const { graph, ends } = branches(
      '12',
      [{ ...state(alice, 'm.room.power_levels', { users: { [dave]: 50 } }), originServerTs: 1 }],
      [],
    )
    const levels = ends[0][0]!
    const topic = graph.send({ ...state(dave, 'm.room.topic', { topic: 'x' }), originServerTs: 2 }, [levels])!
    const before = new Map(topic.stateAfter)
    before.delete(TOPIC)
    const states = [topic.stateAfter, before]
    expect(resolve(graph, states).get(TOPIC)).to.equal(topic.event.eventId)
    const membership = graph.events.get(before.get(stateKeyOf('m.room.member', dave))!)!
    expect(resolve(graph, states, [membership.eventId]).has(TOPIC)).to.be.false
  })
})
