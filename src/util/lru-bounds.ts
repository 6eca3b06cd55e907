/**
 * Bounds an LRU cache to so many entries. With the library's own `max` a cache reserves room for all of them when it is
 * made, which a small server would pay for at its start and never use.
 */
export function upTo(entries: number): { maxSize: number; sizeCalculation: () => number } {
  return { maxSize: entries, sizeCalculation: one }
}

const one = (): number => 1
