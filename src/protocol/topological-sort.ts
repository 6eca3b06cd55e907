import { PriorityQueue } from '../util/priority-queue.js'
import { pushTo } from '../util/group-by.js'

/**
 * The lexicographically smallest topological order (Kahn's algorithm): every node after all that it depends on, and
 * among those that could come next always the smallest. `dependenciesOf` may name things that are no nodes: they do not
 * count. Nodes on a cycle, or behind one, are left out.
 */
export function topologicalSort<T>(
  nodes: Iterable<T>,
  dependenciesOf: (node: T) => Iterable<T>,
  compare: (a: T, b: T) => number,
): T[] {
  const waitingFor = new Map<T, Set<T>>()
  for (const node of nodes) waitingFor.set(node, new Set())
  const dependants = new Map<T, T[]>()
  for (const [node, waiting] of waitingFor) {
    for (const dependency of dependenciesOf(node)) {
      if (!waitingFor.has(dependency) || waiting.has(dependency)) continue
      waiting.add(dependency)
      pushTo(dependants, dependency, node)
    }
  }
  const ready = new PriorityQueue<T>(compare)
  for (const [node, waiting] of waitingFor) if (waiting.size === 0) ready.push(node)
  const sorted: T[] = []
  while (ready.size > 0) {
    const node = ready.pop()!
    sorted.push(node)
    for (const dependant of dependants.get(node) ?? []) {
      const waiting = waitingFor.get(dependant)!
      waiting.delete(node)
      if (waiting.size === 0) ready.push(dependant)
    }
  }
  return sorted
}
