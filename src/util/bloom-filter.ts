/**
 * Remembers which keys were added, in a fixed amount of memory: what it does not have was never added; what it has was
 * probably added.
 */
export class BloomFilter {
  readonly #bits: Uint32Array
  readonly #mask: number

  /** `bits`: a power of two, 32 at least. Six bits and a half a key let one key in twenty pass that was not added. */
  constructor(bits: number) {
    this.#bits = new Uint32Array(bits / 32)
    this.#mask = bits - 1
  }

  add(key: string): void {
    for (const bit of this.#places(key)) this.#bits[bit >>> 5]! |= 1 << (bit & 31)
  }

  mayHave(key: string): boolean {
    return this.#places(key).every((bit) => (this.#bits[bit >>> 5]! & (1 << (bit & 31))) !== 0)
  }

  /** Four places, made of two hashes. */
  #places(key: string): readonly number[] {
    const first = fnv1a(key)
    const step = mixed(first) | 1
    return [first, first + step, first + 2 * step, first + 3 * step].map((place) => place & this.#mask)
  }
}

/** http://www.isthe.com/chongo/tech/comp/fnv/ over UTF-16 code units. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  }
  return hash
}

/** The last steps of MurmurHash3: bits that have little to do with those that went in. */
function mixed(hash: number): number {
  let value = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35)
  return value ^ (value >>> 16)
}
