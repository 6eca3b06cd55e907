import type { EventReference } from '../../storage/synapse/events.js'
import { stateKeyOf, type StateKey } from '../../protocol/state-map.js'
import type { StateKeyInterner } from '../events/state-key-interner.js'
import type { ReadEvent } from './room-copier.js'
import type { RoomStates } from './room-states.js'
import { eventNidOf, replacedStateIn, type SourceReferences } from './source-events.js'

/** The snapshots before and after an event. */
export interface StatePair {
  readonly before: number
  readonly after: number
}

interface Parts {
  readonly states: RoomStates
  readonly interner: StateKeyInterner
  readonly references: SourceReferences
}

type References = ReadonlyMap<string, EventReference>

/**
 * Finds the states before and after events. The source names only one of them: the state after an accepted state event,
 * from which follows the state before it but for the one piece that the event sets.
 */
export class StatesAround {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** By nid; without outliers, and without events whose state the source has lost. */
  async of(events: readonly ReadEvent[], references: References): Promise<Map<number, StatePair>> {
    const { states, interner } = this.#parts
    const placed = events.flatMap((one) => {
      const { isOutlier, stateGroup } = one.source
      return isOutlier || stateGroup === undefined ? [] : [{ ...one, stateGroup }]
    })
    await states.prepare(placed.map(({ stateGroup }) => stateGroup))
    const keyNids = await interner.intern([...new Set(placed.filter(changesState).map(keyOf))])
    const pairs = new Map<number, StatePair>()
    const merges: (ReadEvent & { readonly after: number; readonly keyNid: number })[] = []
    for (const one of placed) {
      const after = states.nidOf(one.stateGroup)
      if (after === undefined) continue
      if (!changesState(one)) {
        pairs.set(one.eventNid, { before: after, after })
        continue
      }
      const keyNid = keyNids.get(keyOf(one))!
      const before = states.stepBefore(one.stateGroup, keyNid, one.eventNid)
      if (before === undefined) merges.push({ ...one, after, keyNid })
      else pairs.set(one.eventNid, { before, after })
    }
    await states.prepare(merges.flatMap((one) => previousGroups(one, references)))
    for (const one of merges) {
      const { after, keyNid, eventNid } = one
      const held = (await states.get(after)).get(keyNid)
      const replaced = held === eventNid ? await this.#replaced(one, keyNid, references) : held
      pairs.set(eventNid, { before: await states.derive(after, keyNid, replaced), after })
    }
    return pairs
  }

  /** The event that held the piece of state before: as the states after the previous events say. */
  async #replaced(one: ReadEvent, keyNid: number, references: References): Promise<number | undefined> {
    const { states } = this.#parts
    const values = new Set<number | undefined>()
    for (const group of previousGroups(one, references)) {
      const nid = states.nidOf(group)
      if (nid !== undefined) values.add((await states.get(nid)).get(keyNid))
    }
    if (values.size === 1) return [...values][0]
    const nidsOf = (ids: readonly string[], found: References): number[] =>
      ids.flatMap((id) => {
        const reference = found.get(id)
        return reference ? [eventNidOf(reference.streamOrdering)] : []
      })
    const authorizing = nidsOf(one.event.authEventIds, references).find((nid) => values.has(nid))
    if (authorizing !== undefined) return authorizing
    const replacedId = replacedStateIn(one.source.json)
    if (replacedId !== undefined) {
      const [nid] = nidsOf([replacedId], await this.#parts.references.resolve([replacedId]))
      if (nid !== undefined) return nid
    }
    return [...values].reduce((newest, value) => ((value ?? 0) > (newest ?? 0) ? value : newest), undefined)
  }
}

/** Rejected events change nothing. */
function changesState({ event, source }: ReadEvent): boolean {
  return event.isState() && source.rejected === undefined
}

function keyOf({ event }: ReadEvent): StateKey {
  return stateKeyOf(event.type, event.stateKey ?? '')
}

function previousGroups({ event }: ReadEvent, references: References): number[] {
  return event.prevEventIds.flatMap((id) => {
    const reference = references.get(id)
    return reference?.isOutlier === false && reference.stateGroup !== undefined ? [reference.stateGroup] : []
  })
}
