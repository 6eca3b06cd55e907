import { createHash } from 'node:crypto'
import { VarintReader, VarintWriter } from '../util/varint.js'

/** Changes to a state: the new event for a key, or undefined where the key goes. */
export type StateChanges = ReadonlyMap<number, number | undefined>

const MODULUS = 1n << 128n

/**
 * The state of a room at one point: which event (nid) holds which (type, state key) (nid). Two sorted typed arrays,
 * so that the state of a room with 10,000 members takes 120 KB, is copied in microseconds and compared in one pass.
 * Immutable.
 */
export class StateSnapshot {
  static readonly empty = new StateSnapshot(new Int32Array(0), new Float64Array(0), 0n)

  /** Ascending. */
  readonly keys: Int32Array
  /** `events[i]` holds `keys[i]`. */
  readonly events: Float64Array
  /** Sum of the entries' hashes: the same for equal states, whatever way led there. */
  readonly hash: bigint

  private constructor(keys: Int32Array, events: Float64Array, hash: bigint) {
    this.keys = keys
    this.events = events
    this.hash = hash
  }

  /** A snapshot read back: entries in any order, and the hash that was stored with them. */
  static restore(entries: ReadonlyMap<number, number>, hashText: string): StateSnapshot {
    const keys = Int32Array.from(entries.keys()).sort()
    const events = new Float64Array(keys.length)
    for (let index = 0; index < keys.length; index++) events[index] = entries.get(keys[index]!)!
    return new StateSnapshot(keys, events, BigInt(`0x${hashText}`))
  }

  static from(entries: Iterable<readonly [keyNid: number, eventNid: number]>): StateSnapshot {
    return StateSnapshot.empty.with(new Map(entries))
  }

  get size(): number {
    return this.keys.length
  }

  /** The hash as text, the name of this state within its room. */
  get hashText(): string {
    return this.hash.toString(16).padStart(32, '0')
  }

  get(keyNid: number): number | undefined {
    const index = lowerBound(this.keys, keyNid)
    return this.keys[index] === keyNid ? this.events[index] : undefined
  }

  *entries(): IterableIterator<[keyNid: number, eventNid: number]> {
    for (let index = 0; index < this.keys.length; index++) {
      yield [this.keys[index]!, this.events[index]!]
    }
  }

  /** This state with changes; itself when nothing changes. */
  with(changes: StateChanges): StateSnapshot {
    const sorted = [...changes].sort((a, b) => a[0] - b[0])
    const keys = new Int32Array(this.keys.length + sorted.length)
    const events = new Float64Array(keys.length)
    let hash = this.hash
    let changed = false
    let from = 0
    let to = 0
    const copyUntil = (end: number): void => {
      keys.set(this.keys.subarray(from, end), to)
      events.set(this.events.subarray(from, end), to)
      to += end - from
      from = end
    }
    for (const [key, event] of sorted) {
      copyUntil(lowerBound(this.keys, key, from))
      const previous = this.keys[from] === key ? this.events[from++] : undefined
      if (previous !== event) {
        changed = true
        if (previous !== undefined) hash -= entryHash(key, previous)
        if (event !== undefined) hash += entryHash(key, event)
      }
      if (event === undefined) continue
      keys[to] = key
      events[to++] = event
    }
    if (!changed) return this
    copyUntil(this.keys.length)
    return new StateSnapshot(keys.slice(0, to), events.slice(0, to), ((hash % MODULUS) + MODULUS) % MODULUS)
  }

  /** What turns this state into `target`. */
  changesTo(target: StateSnapshot): Map<number, number | undefined> {
    const changes = new Map<number, number | undefined>()
    let here = 0
    let there = 0
    while (here < this.keys.length || there < target.keys.length) {
      const a = this.keys[here] ?? Infinity
      const b = target.keys[there] ?? Infinity
      if (a < b) {
        changes.set(a, undefined)
        here++
      } else if (b < a) {
        changes.set(b, target.events[there])
        there++
      } else {
        if (this.events[here] !== target.events[there]) changes.set(b, target.events[there])
        here++
        there++
      }
    }
    return changes
  }
}

/**
 * Changes as bytes: per entry the distance of the key to the one before, and the event (0 where the key goes).
 */
export function encodeChanges(changes: StateChanges): Buffer {
  const sorted = [...changes].sort((a, b) => a[0] - b[0])
  const writer = new VarintWriter(sorted.length * 6)
  let previous = 0
  for (const [key, event] of sorted) {
    writer.write(key - previous)
    writer.write(event ?? 0)
    previous = key
  }
  return writer.finish()
}

/** The inverse of `encodeChanges`. */
export function decodeChanges(bytes: Uint8Array): Map<number, number | undefined> {
  const changes = new Map<number, number | undefined>()
  const reader = new VarintReader(bytes)
  let key = 0
  while (!reader.done) {
    key += reader.read()
    const event = reader.read()
    changes.set(key, event === 0 ? undefined : event)
  }
  return changes
}

/** Those of the changes that concern some keys, without building the others. `last`: the largest of the keys. */
export function pickChanges(
  bytes: Uint8Array,
  keys: ReadonlySet<number>,
  last: number,
): Map<number, number | undefined> {
  const changes = new Map<number, number | undefined>()
  const reader = new VarintReader(bytes)
  let key = 0
  while (!reader.done) {
    key += reader.read()
    if (key > last) break
    const event = reader.read()
    if (keys.has(key)) changes.set(key, event === 0 ? undefined : event)
  }
  return changes
}

/** The first index at or after `from` whose key is not less than `key`. */
function lowerBound(keys: Int32Array, key: number, from = 0): number {
  let low = from
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (keys[middle]! < key) low = middle + 1
    else high = middle
  }
  return low
}

function entryHash(keyNid: number, eventNid: number): bigint {
  const digest = createHash('sha256').update(`${keyNid}:${eventNid}`).digest()
  return (digest.readBigUInt64LE(0) << 64n) | digest.readBigUInt64LE(8)
}
