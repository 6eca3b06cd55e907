import { searchableText } from '../../protocol/searchable-text.js'
import type { Database, Query, Tx } from '../../storage/database.js'
import type { EventSearchStore, IndexRange, SearchableEvent } from '../../storage/stores/event-search.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { StreamName } from '../../storage/streams/stream-names.js'
import type { StreamIdGenerator } from '../../storage/streams/stream-id-generator.js'
import type { Clock } from '../../util/clock.js'
import { SingleFlight } from '../../util/single-flight.js'
import { wordsOf } from '../../util/words.js'
import type { PositionSink } from '../streams/notifier.js'
import { DelayedRuns } from '../tasks/delayed-runs.js'

export interface SearchIndexDependencies {
  readonly db: Database
  readonly clock: Clock
  readonly eventSearch: EventSearchStore
  readonly events: EventsStore
  readonly eventStream: Pick<StreamIdGenerator, 'position'>
  /** Counts up; its events have these positions negated. */
  readonly backfillStream: Pick<StreamIdGenerator, 'position'>
  readonly onError: (error: unknown) => void
}

/** Events that are looked at in one transaction. */
const BATCH = 500
/** New events are indexed together, this long after the first of them; whoever searches does not wait for that. */
const DELAY_MS = 1_000
/** Batches of new events that a search waits for: usually there is one, with little in it. */
const MAX_BATCHES_OF_SEARCH = 20
/** Between two batches of old events, for others to write. */
const PAUSE_MS = 50

/**
 * Keeps the full-text index up with the events stream, and brings what is older than the index into it in the
 * background. Nothing waits for it but a search, and that for the newest events alone.
 */
export class SearchIndex implements PositionSink {
  readonly #deps: SearchIndexDependencies
  readonly #flights = new SingleFlight<void>()
  readonly #runs: DelayedRuns

  constructor(deps: SearchIndexDependencies) {
    this.#deps = deps
    const { clock, onError } = deps
    this.#runs = new DelayedRuns({ clock, onError, delayMs: DELAY_MS, run: (signal) => this.#run(signal) })
  }

  onNewPosition(stream: StreamName): void {
    if (stream === 'events') this.#runs.schedule()
  }

  /** Begins with what has happened while nobody was looking. */
  start(): void {
    this.#runs.schedule()
  }

  async stop(): Promise<void> {
    await this.#runs.stop()
  }

  /** Takes in the events that are committed, unless that would take long: then what there is must do. */
  async catchUp(): Promise<void> {
    const { db, eventSearch, eventStream } = this.#deps
    const target = eventStream.position()
    for (let round = 0; round < MAX_BATCHES_OF_SEARCH; round++) {
      if ((await eventSearch.getPosition(db.reader)).newest >= target) return
      await this.#flights.run('newer', () => this.#indexNewer())
    }
  }

  /** Until there is nothing to do; events that come meanwhile are left to the next run, which takes them in together. */
  async #run(signal: AbortSignal): Promise<void> {
    const { db, clock, eventSearch, eventStream } = this.#deps
    const target = eventStream.position()
    while (!signal.aborted) {
      if ((await eventSearch.getPosition(db.reader)).newest < target) {
        await this.#flights.run('newer', () => this.#indexNewer())
      } else if (await this.#indexOlder()) {
        await clock.sleep(PAUSE_MS, signal)
      } else {
        return
      }
    }
  }

  async #indexNewer(): Promise<void> {
    const { db, eventSearch, eventStream } = this.#deps
    const upTo = eventStream.position()
    await db.write('index_new_events', async (tx) => {
      const { newest } = await eventSearch.getPosition(tx)
      if (newest >= upTo) return
      const range = await eventSearch.listNewer(tx, { after: newest, upTo }, BATCH)
      await this.#index(tx, range)
      await eventSearch.setNewest(tx, range.end ?? upTo)
    })
  }

  /** False when there is nothing older. */
  async #indexOlder(): Promise<boolean> {
    const { db, eventSearch, backfillStream } = this.#deps
    const downTo = -backfillStream.position()
    const { oldest } = await eventSearch.getPosition(db.reader)
    if (oldest <= downTo) return false
    await db.write('index_old_events', async (tx) => {
      const { oldest: before } = await eventSearch.getPosition(tx)
      const range = await eventSearch.listOlder(tx, { before, downTo }, BATCH)
      await this.#index(tx, range)
      await eventSearch.setOldest(tx, range.end ?? downTo)
    })
    return true
  }

  async #index(tx: Tx, { eventNids, redactedNids }: IndexRange): Promise<void> {
    const { eventSearch } = this.#deps
    await eventSearch.remove(tx, redactedNids)
    await eventSearch.add(tx, await this.#read(tx, eventNids))
  }

  async #read(q: Query, eventNids: readonly number[]): Promise<SearchableEvent[]> {
    if (eventNids.length === 0) return []
    const events = await this.#deps.events.getByNids(q, eventNids)
    return [...events.values()].flatMap((stored) => {
      const words = wordsOf(textOf(stored))
      return words.length === 0 ? [] : [{ eventNid: stored.eventNid, roomNid: stored.roomNid, words }]
    })
  }
}

function textOf({ event, rejected, softFailed, redactedBy }: StoredEvent): string {
  if (rejected !== null || softFailed || redactedBy !== null) return ''
  return searchableText(event.type, event.content)
}
