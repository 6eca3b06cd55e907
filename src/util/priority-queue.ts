/** A binary heap: the smallest item first, by `compare`. */
export class PriorityQueue<T> {
  readonly #items: T[] = []
  readonly #compare: (a: T, b: T) => number

  constructor(compare: (a: T, b: T) => number, items: Iterable<T> = []) {
    this.#compare = compare
    for (const item of items) this.push(item)
  }

  get size(): number {
    return this.#items.length
  }

  peek(): T | undefined {
    return this.#items[0]
  }

  push(item: T): void {
    const items = this.#items
    let index = items.push(item) - 1
    while (index > 0) {
      const parent = (index - 1) >> 1
      const above = items[parent]
      if (above === undefined || this.#compare(above, item) <= 0) break
      items[index] = above
      index = parent
    }
    items[index] = item
  }

  pop(): T | undefined {
    const first = this.#items[0]
    const last = this.#items.pop()
    if (last !== undefined && this.#items.length > 0) this.#sink(last)
    return first
  }

  #sink(item: T): void {
    const items = this.#items
    let index = 0
    for (;;) {
      const child = this.#smallerChild(index)
      if (child === undefined || this.#compare(item, child.item) <= 0) break
      items[index] = child.item
      index = child.index
    }
    items[index] = item
  }

  #smallerChild(index: number): { index: number; item: T } | undefined {
    const left = this.#items[2 * index + 1]
    const right = this.#items[2 * index + 2]
    if (left === undefined) return undefined
    if (right === undefined || this.#compare(left, right) <= 0) return { index: 2 * index + 1, item: left }
    return { index: 2 * index + 2, item: right }
  }
}
