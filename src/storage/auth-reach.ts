import { VarintReader, VarintWriter } from '../util/varint.js'

/**
 * What an event's auth chain covers: for each chain the highest position. An event at (chain, seq) is in the auth chain
 * exactly when `reach.get(chain) >= seq`, because every event of a chain has all before it in its own auth chain.
 */
export type AuthReach = ReadonlyMap<number, number>

/** Where an event stands in the chain cover, and what its auth chain (without itself) reaches. */
export interface AuthChainPosition {
  readonly chainNid: number
  /** From 1. */
  readonly seq: number
  readonly reach: AuthReach
}

/** Adds to `target` all that `position` itself and its auth chain cover. */
export function coverPosition(target: Map<number, number>, position: AuthChainPosition): void {
  coverReach(target, position.reach)
  raise(target, position.chainNid, position.seq)
}

/** Raises `target` to cover `reach` too. */
export function coverReach(target: Map<number, number>, reach: AuthReach): void {
  for (const [chain, seq] of reach) raise(target, chain, seq)
}

/** True when the reach covers the position. */
export function covers(reach: AuthReach, position: { chainNid: number; seq: number }): boolean {
  return (reach.get(position.chainNid) ?? 0) >= position.seq
}

export function encodeReach(reach: AuthReach): Buffer {
  const writer = new VarintWriter(reach.size * 6)
  let previous = 0
  for (const [chain, seq] of [...reach].sort((a, b) => a[0] - b[0])) {
    writer.write(chain - previous)
    writer.write(seq)
    previous = chain
  }
  return writer.finish()
}

export function decodeReach(bytes: Uint8Array): Map<number, number> {
  const reach = new Map<number, number>()
  const reader = new VarintReader(bytes)
  let chain = 0
  while (!reader.done) {
    chain += reader.read()
    reach.set(chain, reader.read())
  }
  return reach
}

/** Raises `target` to cover a chain up to a position. */
export function raise(target: Map<number, number>, chain: number, seq: number): void {
  if ((target.get(chain) ?? 0) < seq) target.set(chain, seq)
}
