import { Batcher } from './batcher.js'

interface Question<K, V> {
  readonly key: K
  answer?: V | undefined
}

/**
 * Answers single questions that come close together with one look-up for all of them. A look-up begins after the
 * question was asked, so that its answer is never older than the question.
 */
export class BatchedLookup<K, V> {
  readonly #batcher: Batcher<Question<K, V>>

  /**
   * @param load looks up keys, each once; what it leaves out of its map is not there
   * @param options `maxItems`: how many questions one look-up answers at most
   */
  constructor(
    load: (keys: readonly K[]) => Promise<ReadonlyMap<K, V>>,
    options: { readonly maxItems: number },
  ) {
    this.#batcher = new Batcher(async (questions) => {
      const found = await load([...new Set(questions.map(({ key }) => key))])
      for (const question of questions) question.answer = found.get(question.key)
    }, options)
  }

  /** Undefined where there is nothing. Rejects when the look-up of this key alone fails. */
  async get(key: K): Promise<V | undefined> {
    const question: Question<K, V> = { key }
    await this.#batcher.add(question)
    return question.answer
  }

  /** What there is of several keys. */
  async getMany(keys: Iterable<K>): Promise<Map<K, V>> {
    const found = new Map<K, V>()
    const look = async (key: K): Promise<void> => {
      const value = await this.get(key)
      if (value !== undefined) found.set(key, value)
    }
    await Promise.all([...new Set(keys)].map(look))
    return found
  }
}
