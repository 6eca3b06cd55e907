import type { StoredEvent } from '../../../../storage/stores/events.js'
import { badJson } from '../../../../protocol/errors.js'
import type { JsonObject, JsonValue } from '../../../../util/json.js'
import type { ClientEvents } from '../../../events/client-events.js'
import type { StickyEvents } from '../../../events/sticky-events.js'
import type { Extension, ExtensionFrame, ExtensionResult } from './extension.js'

interface Parts {
  readonly sticky: Pick<StickyEvents, 'list' | 'page'>
  readonly clientEvents: Pick<ClientEvents, 'serialize'>
}

const MAX_LIMIT = 100
const TOKEN = /^sticky_(\d{1,15})$/

/**
 * The sticky events of all rooms that the user is in, after the place that the client says it has them up to.
 * https://github.com/matrix-org/matrix-spec-proposals/pull/4354
 */
export class StickyEventsExtension implements Extension {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Nothing where nothing is new. Throws `M_BAD_JSON`. */
  async load(frame: ExtensionFrame, settings: JsonObject): Promise<ExtensionResult | undefined> {
    const after = parseSince(settings['since'])
    const limit = parseLimit(settings['limit'])
    const { now, ignored, visible } = frame
    const joined = [...visible].filter(([, { membership }]) => membership === 'join')
    const window = { after, upTo: now.events, ignored }
    const { rooms, upTo } = await this.#parts.sticky.page(
      joined.map(([roomNid]) => roomNid),
      window,
      limit,
    )
    // Who has come to a room since then has seen nothing of what was there before.
    const entered = joined.filter(([, { streamOrdering }]) => after > 0 && streamOrdering > after)
    const missed = await this.#parts.sticky.list(
      entered.map(([roomNid]) => roomNid),
      { ...window, after: 0, upTo: after },
    )
    const told = merge(missed, rooms, frame)
    if (told.size === 0) return undefined
    const json = await this.#write(frame, told)
    return { json: { rooms: json, next_batch: `sticky_${upTo}` }, hasNews: true }
  }

  async #write(
    { viewer, visible }: ExtensionFrame,
    rooms: ReadonlyMap<number, readonly StoredEvent[]>,
  ): Promise<JsonObject> {
    const all = [...rooms.values()].flat()
    const written = await this.#parts.clientEvents.serialize(viewer, all, { format: 'sync' })
    let start = 0
    return Object.fromEntries(
      [...rooms].flatMap(([roomNid, { length }]) => {
        const events = written.slice(start, (start += length))
        const room = visible.get(roomNid)
        return room === undefined ? [] : [[room.room.roomId, { events }]]
      }),
    )
  }
}

/** The events of both, by room, without those that timelines of the answer show. */
function merge(
  before: ReadonlyMap<number, readonly StoredEvent[]>,
  after: ReadonlyMap<number, readonly StoredEvent[]>,
  { results }: Pick<ExtensionFrame, 'results'>,
): Map<number, StoredEvent[]> {
  const rooms = new Map<number, StoredEvent[]>()
  for (const roomNid of new Set([...before.keys(), ...after.keys()])) {
    const shown = new Set((results.get(roomNid)?.timeline ?? []).map(({ eventNid }) => eventNid))
    const events = [...(before.get(roomNid) ?? []), ...(after.get(roomNid) ?? [])]
    const others = events.filter(({ eventNid }) => !shown.has(eventNid))
    if (others.length > 0) rooms.set(roomNid, others)
  }
  return rooms
}

function parseSince(since: JsonValue | undefined): number {
  if (since === undefined || since === null) return 0
  const match = typeof since === 'string' ? TOKEN.exec(since) : null
  if (match === null) throw badJson('extensions: since of sticky events is what next_batch was')
  return Number(match[1])
}

function parseLimit(limit: JsonValue | undefined): number {
  if (limit === undefined || limit === null) return MAX_LIMIT
  if (typeof limit !== 'number' || !Number.isInteger(limit) || limit < 1)
    throw badJson('extensions: the limit of sticky events must be an integer of at least 1')
  return Math.min(limit, MAX_LIMIT)
}
