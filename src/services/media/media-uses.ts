import { parseMxcUri } from '../../protocol/mxc-uri.js'
import type { UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { MediaId } from '../../storage/stores/media.js'
import type { MediaUsesStore } from '../../storage/stores/media-uses.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../../util/json.js'

const ROOMS_AT_A_TIME = 500
const EVENTS_AT_A_TIME = 1000

/**
 * Knows which files are used, as far as the server can read it: messages that are encrypted name their files where it
 * cannot.
 */
export class MediaUses {
  readonly #db: Database
  readonly #uses: MediaUsesStore

  constructor(deps: { db: Database; uses: MediaUsesStore }) {
    this.#db = deps.db
    this.#uses = deps.uses
  }

  /**
   * The URIs of files that stay in sight however long nobody asks for them, since clients keep them: pictures of people
   * and rooms, whatever else the current state of a room names (packs of stickers, bridges), and what users have noted
   * in their profiles and account data.
   */
  async lasting(signal?: AbortSignal): Promise<Set<string>> {
    const found = new Set(await this.#uses.avatars(this.#db.reader))
    for (const json of await this.#uses.ofUsers(this.#db.reader))
      addUris(found, JSON.parse(json) as JsonValue)
    const last = await this.#uses.lastRoom(this.#db.reader)
    for (let after = 0; after < last; after += ROOMS_AT_A_TIME) {
      signal?.throwIfAborted()
      const rooms = { after, upTo: after + ROOMS_AT_A_TIME }
      for (const json of await this.#uses.ofRooms(this.#db.reader, rooms)) {
        addUris(found, (JSON.parse(json) as JsonObject)['content'])
      }
    }
    return found
  }

  /** The files that redacted messages named and that nothing else uses that the server can read. */
  async leftByRedactions(): Promise<MediaId[]> {
    const left = new Map<string, MediaId>()
    for await (const json of this.#messages(true)) {
      for (const [uri, id] of filesOf(json)) left.set(uri, id)
    }
    if (left.size === 0) return []
    for await (const json of this.#messages(false)) for (const [uri] of filesOf(json)) left.delete(uri)
    for (const uri of await this.lasting()) left.delete(uri)
    return [...left.values()]
  }

  /** Those whom erased users have left behind. */
  async erasedUsers(): Promise<UserId[]> {
    return (await this.#uses.erasedUsers(this.#db.reader)) as UserId[]
  }

  async *#messages(isRedacted: boolean): AsyncGenerator<string> {
    let after = Number.MIN_SAFE_INTEGER
    for (;;) {
      const page = await this.#uses.ofMessages(this.#db.reader, {
        isRedacted,
        after,
        limit: EVENTS_AT_A_TIME,
      })
      for (const { json } of page) yield json
      const last = page.at(-1)
      if (last === undefined) return
      after = last.eventNid
    }
  }
}

/** The file of a message and its thumbnail, by URI. `json`: the event. */
export function filesOf(json: string): [string, MediaId][] {
  const { content } = JSON.parse(json) as JsonObject
  if (!isJsonObject(content)) return []
  const { info } = content
  const texts: (JsonValue | undefined)[] = [
    content['url'],
    isJsonObject(info) ? info['thumbnail_url'] : undefined,
  ]
  return texts.flatMap((text) => {
    const id = typeof text === 'string' ? parseMxcUri(text) : undefined
    return id === undefined || typeof text !== 'string' ? [] : [[text, id] as [string, MediaId]]
  })
}

/** Adds every text of a JSON value that is the URI of a file. */
function addUris(found: Set<string>, value: JsonValue | undefined): void {
  const waiting: (JsonValue | undefined)[] = [value]
  while (waiting.length > 0) {
    const next = waiting.pop()
    if (typeof next === 'string') {
      if (next.startsWith('mxc://')) found.add(next)
    } else if (typeof next === 'object' && next !== null) {
      for (const inner of Object.values<JsonValue>(next)) waiting.push(inner)
    }
  }
}
