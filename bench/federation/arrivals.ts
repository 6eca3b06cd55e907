import type { Session } from '../client.js'

const LONG_POLL_MS = 30_000
const FILTER = { room: { timeline: { limit: 1_000 }, state: { lazy_load_members: true } } }

/** Follows the sync of a user and notes when events arrive. */
export class Arrivals {
  readonly #session: Session
  readonly #times = new Map<string, number>()
  readonly #waiting = new Map<string, (at: number) => void>()
  #isOver = false
  #failure: unknown
  #running: Promise<void> | undefined

  private constructor(session: Session) {
    this.#session = session
  }

  /** From now on; what is there already does not count. */
  static async begin(session: Session): Promise<Arrivals> {
    const arrivals = new Arrivals(session)
    const { next_batch: since } = await session.sync(undefined, 0, FILTER)
    arrivals.#running = arrivals.#follow(since)
    return arrivals
  }

  /** When an event has arrived, as `performance.now` counts: now or later. */
  async of(eventId: string): Promise<number> {
    if (this.#failure !== undefined) throw new Error('The sync has failed', { cause: this.#failure })
    const known = this.#times.get(eventId)
    return known ?? new Promise((resolve) => this.#waiting.set(eventId, resolve))
  }

  /** Ends with the next answer, which `nudge` brings about. */
  async end(nudge: () => Promise<unknown>): Promise<void> {
    this.#isOver = true
    await nudge()
    await this.#running
  }

  async #follow(since: string): Promise<void> {
    let token = since
    try {
      while (!this.#isOver) {
        const answer = await this.#session.sync(token, LONG_POLL_MS, FILTER)
        const at = performance.now()
        token = answer.next_batch
        for (const { timeline } of Object.values(answer.rooms?.join ?? {})) {
          for (const { event_id: eventId } of timeline.events) this.#note(eventId, at)
        }
      }
    } catch (error) {
      this.#failure = error
      throw error
    }
  }

  #note(eventId: string, at: number): void {
    if (this.#times.has(eventId)) return
    this.#times.set(eventId, at)
    this.#waiting.get(eventId)?.(at)
    this.#waiting.delete(eventId)
  }
}
