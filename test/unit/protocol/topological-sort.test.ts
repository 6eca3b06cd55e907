import { expect } from 'chai'
import fc from 'fast-check'
import { topologicalSort } from '../../../src/protocol/topological-sort.js'

/** A graph without cycles: node i depends on some of those before it, under shuffled names. */
const graphs = fc
  .array(fc.array(fc.nat(30), { maxLength: 4 }), { minLength: 1, maxLength: 30 })
  .chain((raw) =>
    fc.record({
      edges: fc.constant(raw.map((targets, node) => [...new Set(targets.filter((target) => target < node))])),
      names: fc.shuffledSubarray([...raw.keys()], { minLength: raw.length }),
    }),
  )
  .map(({ edges, names }) => {
    const dependencies = new Map(
      edges.map((targets, node) => [names[node]!, targets.map((target) => names[target]!)]),
    )
    return dependencies
  })

const byNumber = (a: number, b: number): number => a - b

describe('topologicalSort', () => {
  it('puts every node after what it depends on', () => {
    fc.assert(
      fc.property(graphs, (graph) => {
        const sorted = topologicalSort(graph.keys(), (node) => graph.get(node)!, byNumber)
        expect([...sorted].sort(byNumber)).to.deep.equal([...graph.keys()].sort(byNumber))
        const place = new Map(sorted.map((node, index) => [node, index]))
        for (const [node, targets] of graph) {
          for (const target of targets) expect(place.get(target)!).to.be.below(place.get(node)!)
        }
      }),
    )
  })

  it('is the lexicographically smallest such order', () => {
    fc.assert(
      fc.property(graphs, (graph) => {
        const sorted = topologicalSort(graph.keys(), (node) => graph.get(node)!, byNumber)
        const done = new Set<number>()
        for (const node of sorted) {
          const candidates = [...graph].filter(
            ([candidate, targets]) => !done.has(candidate) && targets.every((target) => done.has(target)),
          )
          expect(node).to.equal(Math.min(...candidates.map(([candidate]) => candidate)))
          done.add(node)
        }
      }),
    )
  })

  it('ignores dependencies that are no nodes, and leaves cycles out', () => {
    const edges: Record<string, string[]> = { a: ['missing'], b: ['c'], c: ['b'], d: ['a', 'a'], e: ['b'] }
    const sorted = topologicalSort(
      Object.keys(edges),
      (node) => edges[node]!,
      (a, b) => (a < b ? -1 : 1),
    )
    expect(sorted).to.deep.equal(['a', 'd'])
  })
})
