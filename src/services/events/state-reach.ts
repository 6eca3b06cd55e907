import type { AuthChainPosition } from '../../storage/auth-reach.js'
import { pushTo } from '../../util/group-by.js'

/** What a chain's position is multiplied by beside an event's nid, which is smaller. */
const NID_SPAN = 2 ** 32

/**
 * What the events of a state and their auth chains cover, each for itself: so that it is quickly said what they cover
 * without some of them.
 */
export class StateReach {
  readonly #nids: ReadonlySet<number>
  /** For each chain how far events cover it, the furthest first: the position times `NID_SPAN`, and the event's nid. */
  readonly #byChain = new Map<number, number[]>()

  constructor(positions: ReadonlyMap<number, AuthChainPosition>) {
    this.#nids = new Set(positions.keys())
    for (const [nid, { chainNid, seq, reach }] of positions) {
      this.#add(chainNid, seq, nid)
      for (const [chain, covered] of reach) this.#add(chain, covered, nid)
    }
    for (const covering of this.#byChain.values()) if (covering.length > 1) covering.sort((a, b) => b - a)
  }

  /** How many events it is made of. */
  get size(): number {
    return this.#nids.size
  }

  /** How other events differ from these. */
  compare(others: ReadonlySet<number>): { readonly added: number[]; readonly removed: Set<number> } {
    const added: number[] = []
    for (const nid of others) if (!this.#nids.has(nid)) added.push(nid)
    const removed = new Set<number>()
    if (others.size - added.length === this.#nids.size) return { added, removed }
    for (const nid of this.#nids) if (!others.has(nid)) removed.add(nid)
    return { added, removed }
  }

  /** How far the events without some of them cover a chain; 0: not at all. */
  highest(chainNid: number, except: ReadonlySet<number>): number {
    for (const covering of this.#byChain.get(chainNid) ?? []) {
      if (!except.has(covering % NID_SPAN)) return Math.floor(covering / NID_SPAN)
    }
    return 0
  }

  #add(chainNid: number, seq: number, nid: number): void {
    pushTo(this.#byChain, chainNid, seq * NID_SPAN + nid)
  }
}
