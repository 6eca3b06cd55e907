import { isJsonObject, type JsonObject } from '../../src/util/json.js'
import type { MatrixClient } from './matrix-client.js'

export const SLIDING_SYNC = '/_matrix/client/unstable/org.matrix.simplified_msc3575/sync'

/** One connection of sliding sync, as a client goes on with it: each request from where the last answer was. */
export class SlidingClient {
  readonly client: MatrixClient
  readonly connId: string | undefined
  pos: string | undefined

  constructor(client: MatrixClient, connId?: string) {
    this.client = client
    this.connId = connId
  }

  /** One request; `pos` is where the last answer was unless it is given. */
  async sync(
    body: JsonObject,
    options: { timeout?: number; pos?: string; signal?: AbortSignal } = {},
  ): Promise<JsonObject> {
    const { timeout = 0, signal } = options
    const answer = await this.client.must('POST', SLIDING_SYNC, {
      query: { timeout, pos: options.pos ?? this.pos, set_presence: 'offline' },
      body: { ...(this.connId === undefined ? {} : { conn_id: this.connId }), ...body },
      ...(signal === undefined ? {} : { signal }),
    })
    if (typeof answer['pos'] !== 'string') throw new Error('The answer has no position')
    this.pos = answer['pos']
    return answer
  }
}

/** A list named `all`. */
export function listOf(
  range: readonly [number, number],
  config: { timelineLimit?: number; requiredState?: readonly (readonly [string, string])[] } = {},
  filters?: JsonObject,
): JsonObject {
  return {
    lists: {
      all: {
        ranges: [[...range]],
        timeline_limit: config.timelineLimit ?? 1,
        required_state: (config.requiredState ?? []).map((pair) => [...pair]),
        ...(filters === undefined ? {} : { filters }),
      },
    },
  }
}

/** A room's entry in an answer; empty where it is not told. */
export function roomIn(answer: JsonObject, roomId: string): JsonObject {
  const rooms = answer['rooms']
  const room = isJsonObject(rooms) ? rooms[roomId] : undefined
  return isJsonObject(room) ? room : {}
}

/** The rooms that an answer tells of. */
export function roomsIn(answer: JsonObject): string[] {
  return isJsonObject(answer['rooms']) ? Object.keys(answer['rooms']) : []
}

/** The events under a name in a room's entry. */
export function eventsIn(
  room: JsonObject,
  name: 'timeline' | 'required_state' | 'invite_state',
): JsonObject[] {
  const events = room[name]
  return Array.isArray(events) ? events.filter(isJsonObject) : []
}

/** `type/state_key` of each piece of state, sorted. */
export function keysIn(room: JsonObject): string[] {
  return eventsIn(room, 'required_state')
    .map((event) => `${event['type'] as string}/${event['state_key'] as string}`)
    .sort()
}

/** The texts of the messages in the timeline. */
export function textsIn(room: JsonObject): unknown[] {
  return eventsIn(room, 'timeline').flatMap(({ content }) =>
    isJsonObject(content) && 'body' in content ? [content['body']] : [],
  )
}

/** The part of an extension in an answer. */
export function extensionIn(answer: JsonObject, name: string): JsonObject {
  const extensions = answer['extensions']
  const part = isJsonObject(extensions) ? extensions[name] : undefined
  return isJsonObject(part) ? part : {}
}
