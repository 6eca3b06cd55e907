import type { StoredEvent } from '../../../storage/stores/events.js'
import type { ClientEventFormat } from '../../../protocol/client-event.js'
import { selectFields } from '../../../protocol/event-fields.js'
import type { JsonObject } from '../../../util/json.js'
import type { ClientEvents } from '../../events/client-events.js'
import type { StickyEvents } from '../../events/sticky-events.js'
import type { SyncFrame } from '../sync-frame.js'

interface Parts {
  readonly sticky: Pick<StickyEvents, 'list'>
  readonly clientEvents: Pick<ClientEvents, 'serialize'>
}

/**
 * The sticky events of rooms, as far as the client does not find them in the timeline.
 * https://github.com/matrix-org/matrix-spec-proposals/pull/4354
 */
export class StickyEventsSection {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** By nid of the room; `timelines` is what the rooms' timelines show. */
  async load(
    frame: SyncFrame,
    timelines: ReadonlyMap<number, readonly StoredEvent[]>,
  ): Promise<Map<number, JsonObject[]>> {
    const found = [...(await this.#find(frame))].flatMap(([roomNid, events]) => {
      const shown = new Set((timelines.get(roomNid) ?? []).map(({ eventNid }) => eventNid))
      const others = events.filter(({ eventNid }) => !shown.has(eventNid))
      return others.length === 0 ? [] : [[roomNid, others] as const]
    })
    const { viewer, filter } = frame.request
    const { eventFormat, eventFields } = filter
    const format: ClientEventFormat = eventFormat === 'federation' ? 'federation' : 'sync'
    const all = found.flatMap(([, events]) => events)
    const written = await this.#parts.clientEvents.serialize(viewer, all, { format })
    const json = eventFields ? written.map((event) => selectFields(event, eventFields)) : written
    let start = 0
    return new Map(found.map(([roomNid, { length }]) => [roomNid, json.slice(start, (start += length))]))
  }

  /** All of rooms that are new to the client, and of the others those that are. */
  async #find({
    joined,
    newlyJoined,
    isFull,
    since,
    now,
    ignored,
  }: SyncFrame): Promise<Map<number, StoredEvent[]>> {
    const { sticky } = this.#parts
    const isWhole = (roomNid: number): boolean => isFull || newlyJoined.has(roomNid)
    const rooms = [...joined.keys()]
    const whole = await sticky.list(rooms.filter(isWhole), { after: 0, upTo: now.events, ignored })
    if (since === undefined || since.events >= now.events) return whole
    const others = rooms.filter((roomNid) => !isWhole(roomNid))
    const changed = await sticky.list(others, { after: since.events, upTo: now.events, ignored })
    return new Map([...whole, ...changed])
  }
}
