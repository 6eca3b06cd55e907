import type { Database } from '../../storage/database.js'
import type { StoredEvent } from '../../storage/stores/events.js'
import type { RedactionsStore } from '../../storage/stores/redactions.js'
import type { Event } from '../../protocol/event.js'
import type { EventId } from '../../protocol/ids.js'
import { stateKeyOf } from '../../protocol/state-map.js'
import type { EventAssembler } from './event-assembler.js'
import type { EventLookup, PendingEvents } from './pending-events.js'
import type { ReadAhead } from './read-ahead.js'
import type { RedactionRules } from './redaction-rules.js'
import type { SnapshotBuilder } from './snapshot-builder.js'

interface Parts {
  readonly store: RedactionsStore
  readonly lookup: EventLookup
  readonly assembler: EventAssembler
  readonly builder: SnapshotBuilder
  readonly rules: RedactionRules
}

const KEYS = [stateKeyOf('m.room.create', ''), stateKeyOf('m.room.power_levels', '')]

/**
 * Redactions that came before what they redact.
 * https://spec.matrix.org/latest/rooms/v12/#handling-redactions
 */
export class EarlyRedactions {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /** The redaction that applies to an event which has come only now. `ahead`: what was read of the event already. */
  async find(
    event: Event,
    pending: PendingEvents,
    ahead?: ReadAhead,
  ): Promise<{ eventId: EventId; eventNid: number } | undefined> {
    if (ahead?.mayBeRedacted(event.eventId) === false) return undefined
    const waiting = [...pending.values()].flatMap(({ stored }) =>
      stored.event.redacts === event.eventId ? stored.eventNid : [],
    )
    const committed = await this.#parts.store.listUnapplied(this.#db.reader, event.eventId)
    const nids = [...new Set([...committed, ...waiting])]
    if (nids.length === 0) return undefined
    const redactions = await this.#parts.lookup.byNids(nids, pending)
    for (const redaction of redactions.values()) {
      if (await this.#applies(redaction, event, pending)) {
        return { eventId: redaction.event.eventId, eventNid: redaction.eventNid }
      }
    }
    return undefined
  }

  /** Judged by the state before the redaction, as it would have been had its target been there. */
  async #applies(redaction: StoredEvent, target: Event, pending: PendingEvents): Promise<boolean> {
    const { stateBefore, rejected, softFailed } = redaction
    if (stateBefore === null || rejected !== null || softFailed) return false
    const [snapshot] = await this.#parts.builder.load([stateBefore])
    const state = await this.#parts.assembler.lookUp({ snapshot: snapshot!, pending }, KEYS)
    return this.#parts.rules.mayRedact(target, redaction.event, state)
  }
}
