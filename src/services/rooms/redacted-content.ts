import { restoreEvent } from '../../protocol/event-format.js'
import type { EventId } from '../../protocol/ids.js'
import { redactEvent } from '../../protocol/redaction.js'
import type { Database, Tx } from '../../storage/database.js'
import type { RedactedContentStore, RedactedEvent } from '../../storage/stores/redacted-content.js'
import type { RoomsStore } from '../../storage/stores/rooms.js'
import type { Clock } from '../../util/clock.js'

export interface RedactedContentDependencies {
  readonly db: Database
  readonly clock: Clock
  readonly rooms: Pick<RoomsStore, 'getByNids'>
  readonly redacted: RedactedContentStore
  /** `redaction_retention_period`: how long after its redaction the content of an event stays in the database. */
  readonly retentionMs: number
}

/** Events that one transaction prunes. */
const BATCH = 100
/** Between two of them, for others to write. */
const PAUSE_MS = 20

/** Removes for good what redactions have taken away: until then it is hidden from everybody, but in the database. */
export class RedactedContent {
  readonly #deps: RedactedContentDependencies

  constructor(deps: RedactedContentDependencies) {
    this.#deps = deps
  }

  /** Prunes all events that were redacted long enough ago. Ends early when the signal aborts; the next run goes on. */
  async prune(signal: AbortSignal): Promise<void> {
    const { db, clock, redacted, retentionMs } = this.#deps
    const due = { beforeTs: clock.now() - retentionMs, limit: BATCH }
    while (!signal.aborted) {
      const pruned = await db.write('prune_redacted_events', async (tx) => {
        const redactions = await redacted.listDue(tx, due)
        if (redactions.length === 0) return 0
        const targets = redactions.flatMap(({ target }) => target ?? [])
        await redacted.prune(tx, redactions, await this.#redactedTexts(tx, targets))
        return redactions.length
      })
      if (pruned < BATCH) return
      await clock.sleep(PAUSE_MS, signal).catch(() => undefined)
    }
  }

  /** By nid. */
  async #redactedTexts(tx: Tx, events: readonly RedactedEvent[]): Promise<Map<number, string>> {
    const rooms = await this.#deps.rooms.getByNids(tx, [...new Set(events.map(({ roomNid }) => roomNid))])
    return new Map(
      events.flatMap(({ eventNid, eventId, roomNid, json }) => {
        const room = rooms.get(roomNid)
        if (!room) return []
        const ids = { eventId: eventId as EventId, roomId: room.roomId }
        return [[eventNid, redactEvent(restoreEvent(room.rules, json, ids)).toText()] as const]
      }),
    )
  }
}
