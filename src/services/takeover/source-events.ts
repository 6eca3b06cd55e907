import { LRUCache } from 'lru-cache'
import { readReferences, type EventReference } from '../../storage/synapse/events.js'
import type { SynapseSource } from '../../storage/synapse/source.js'
import { canonicalJson, hasOnlyIntegers, isStrictJson } from '../../protocol/canonical-json.js'
import { Event, type PduJson } from '../../protocol/event.js'
import { parseExactJson } from '../../protocol/exact-json.js'
import type { EventId, RoomId } from '../../protocol/ids.js'
import type { RoomVersionRules } from '../../protocol/room-versions.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'

/** What other servers have sent along with invitations and knocks: all that is known of such rooms. */
const KEPT_UNSIGNED = ['invite_room_state', 'knock_room_state']
const REFERENCES_KEPT = 100_000
const IDS_AT_ONCE = 5_000

/**
 * The nid of an event, from its position in the source's stream. So it is known before the event is copied, and the same
 * in every run.
 */
export function eventNidOf(streamOrdering: number): number {
  return streamOrdering > 0 ? 3 * streamOrdering : 1 - 3 * streamOrdering
}

/** The nid of an event that the source does not hold: the n-th of those. */
export function missingNidOf(n: number): number {
  return 3 * n + 2
}

/** The inverse of `missingNidOf`; undefined for nids of other events. */
export function missingNumberOf(nid: number): number | undefined {
  return nid % 3 === 2 ? (nid - 2) / 3 : undefined
}

/** The event of a row of the source, without what its server has written beside it. Throws what is no event. */
export function eventOf(
  rules: RoomVersionRules,
  text: string,
  ids: { readonly eventId: string; readonly roomId: string },
): Event {
  const parsed = JSON.parse(text) as JsonObject
  if (!isJsonObject(parsed['content']) || !Array.isArray(parsed['prev_events'])) throw new Error('No event')
  const isExact = rules.strictCanonicalJson || (hasOnlyIntegers(text) && isStrictJson(parsed))
  const json = withoutOwnUnsigned(parsed) as PduJson
  return new Event(rules, json, {
    eventId: ids.eventId as EventId,
    roomId: ids.roomId as RoomId,
    exactText: isExact ? undefined : canonicalJson(withoutOwnUnsigned(parseExactJson(text) as JsonObject)),
  })
}

/** The event that held the same piece of state before, as its server has written beside it. */
export function replacedStateIn(text: string): string | undefined {
  if (!text.includes('"replaces_state"')) return undefined
  const { unsigned } = JSON.parse(text) as JsonObject
  const replaced = isJsonObject(unsigned) ? unsigned['replaces_state'] : undefined
  return typeof replaced === 'string' ? replaced : undefined
}

function withoutOwnUnsigned({ unsigned, ...signed }: JsonObject): JsonObject {
  if (!isJsonObject(unsigned)) return signed
  const kept = KEPT_UNSIGNED.filter((key) => unsigned[key] !== undefined)
  if (kept.length === 0) return signed
  return { ...signed, unsigned: Object.fromEntries(kept.map((key) => [key, unsigned[key]!])) }
}

/** Looks up where events are that others refer to. Those that were asked for lately are remembered. */
export class SourceReferences {
  readonly #source: SynapseSource
  readonly #known = new LRUCache<string, EventReference>({ max: REFERENCES_KEPT })

  constructor(source: SynapseSource) {
    this.#source = source
  }

  /** Those that the source holds. */
  async resolve(eventIds: Iterable<string>): Promise<Map<string, EventReference>> {
    const found = new Map<string, EventReference>()
    const missing: string[] = []
    for (const id of new Set(eventIds)) {
      const known = this.#known.get(id)
      if (known) found.set(id, known)
      else missing.push(id)
    }
    for (let start = 0; start < missing.length; start += IDS_AT_ONCE) {
      const read = await readReferences(this.#source, missing.slice(start, start + IDS_AT_ONCE))
      for (const [id, reference] of read) {
        found.set(id, reference)
        this.#known.set(id, reference)
      }
    }
    return found
  }
}
