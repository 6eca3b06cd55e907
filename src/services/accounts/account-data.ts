import {
  MatrixError,
  forbidden,
  invalidParam,
  notFound,
  tooLarge,
  unrecognized,
} from '../../protocol/errors.js'
import type { RoomId, UserId } from '../../protocol/ids.js'
import type { Database, Tx } from '../../storage/database.js'
import type { AccountDataEntry, AccountDataStore } from '../../storage/stores/account-data.js'
import type { StreamIdGenerator } from '../../storage/streams/stream-id-generator.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import type { PositionSink } from '../streams/notifier.js'
import type { AccountDataRemoval } from './account-data-removal.js'
import type { Requester } from './requester.js'

export interface AccountDataDependencies {
  readonly db: Database
  readonly accountData: AccountDataStore
  readonly streamIds: Pick<StreamIdGenerator, 'allocate'>
  readonly positions: PositionSink
  /** `msc3391_enabled`: data can be removed. */
  readonly removal?: Pick<AccountDataRemoval, 'removeIn'> | undefined
  /** Types that are kept elsewhere but read here, `m.push_rules` for one. */
  readonly providers?: ReadonlyMap<string, (userId: UserId) => Promise<JsonObject | undefined>>
}

/**
 * Managed by the server, so not written by clients.
 * https://spec.matrix.org/latest/client-server-api/#server-behaviour-11
 */
const SERVER_MANAGED_TYPES = new Set(['m.fully_read', 'm.push_rules'])
const TAGS_TYPE = 'm.tag'
const MAX_TYPE_BYTES = 255
const MAX_TAG_BYTES = 255
const MAX_CONTENT_BYTES = 512 * 1024

/** What clients keep about a user, for all rooms or for one; tags of rooms too. */
export class AccountData {
  readonly #deps: AccountDataDependencies

  constructor(deps: AccountDataDependencies) {
    this.#deps = deps
  }

  /** Throws `M_NOT_FOUND`, `M_FORBIDDEN` for data of others. */
  async get(
    requester: Requester,
    userId: UserId,
    roomId: RoomId | undefined,
    type: string,
  ): Promise<JsonObject> {
    checkOwner(requester, userId)
    const provider = roomId === undefined ? this.#deps.providers?.get(type) : undefined
    const content = provider
      ? await provider(userId)
      : await this.#deps.accountData.get(this.#deps.db.reader, userId, roomId, type)
    if (content === undefined) throw notFound('Account data not found')
    return content
  }

  /** Throws `M_FORBIDDEN`, `M_TOO_LARGE`, `M_INVALID_PARAM`; `M_BAD_JSON` with 405 for what the server manages. */
  async put(requester: Requester, userId: UserId, entry: AccountDataEntry): Promise<void> {
    checkOwner(requester, userId)
    checkWritable(entry.type)
    if (Buffer.byteLength(entry.type) > MAX_TYPE_BYTES) {
      throw invalidParam(`An account data type may have ${MAX_TYPE_BYTES} bytes`)
    }
    if (Buffer.byteLength(JSON.stringify(entry.content)) > MAX_CONTENT_BYTES) {
      throw tooLarge(`Account data may have ${MAX_CONTENT_BYTES} bytes`)
    }
    const { db, removal } = this.#deps
    if (removal && Object.keys(entry.content).length === 0) return this.remove(requester, userId, entry)
    await db.write('put_account_data', (tx) => this.writeIn(tx, userId, entry))
  }

  /** What is not there does no harm. Throws as `put`, and `M_UNRECOGNIZED` where data cannot be removed. */
  async remove(
    requester: Requester,
    userId: UserId,
    { roomId, type }: Pick<AccountDataEntry, 'roomId' | 'type'>,
  ): Promise<void> {
    const { db, removal } = this.#deps
    if (removal === undefined) throw unrecognized()
    checkOwner(requester, userId)
    checkWritable(type)
    await db.write('remove_account_data', (tx) => removal.removeIn(tx, userId, { roomId, types: [type] }))
  }

  /** Writes without asking who may: for the server itself. Clients are told after the commit. */
  async writeIn(tx: Tx, userId: UserId, entry: AccountDataEntry): Promise<void> {
    const [streamId] = await this.#deps.streamIds.allocate(tx, 1)
    if (streamId === undefined) throw new Error('No position of the account data stream was allocated')
    await this.#deps.accountData.put(tx, userId, entry, streamId)
    tx.afterCommit(() => this.#deps.positions.onNewPosition('account_data', { users: [userId] }))
  }

  /** The tags of a room. https://spec.matrix.org/latest/client-server-api/#room-tagging */
  async getTags(requester: Requester, userId: UserId, roomId: RoomId): Promise<JsonObject> {
    checkOwner(requester, userId)
    return tagsOf(await this.#deps.accountData.get(this.#deps.db.reader, userId, roomId, TAGS_TYPE))
  }

  /** Throws `M_FORBIDDEN`, `M_INVALID_PARAM` for names of more than 255 bytes, `M_TOO_LARGE`. */
  async setTag(
    requester: Requester,
    room: { readonly userId: UserId; readonly roomId: RoomId },
    { tag, content }: { tag: string; content: JsonObject },
  ): Promise<void> {
    if (Buffer.byteLength(tag) > MAX_TAG_BYTES) {
      throw invalidParam(`The name of a tag may have ${MAX_TAG_BYTES} bytes`)
    }
    await this.#changeTags(requester, room, (tags) => ({ ...tags, [tag]: content }))
  }

  /** A tag that the room does not have does no harm. */
  async deleteTag(
    requester: Requester,
    room: { readonly userId: UserId; readonly roomId: RoomId },
    tag: string,
  ): Promise<void> {
    await this.#changeTags(requester, room, (tags) => {
      if (!Object.hasOwn(tags, tag)) return undefined
      return Object.fromEntries(Object.entries(tags).filter(([name]) => name !== tag))
    })
  }

  /** `change` gives the new tags, or undefined when nothing changes. */
  async #changeTags(
    requester: Requester,
    room: { readonly userId: UserId; readonly roomId: RoomId },
    change: (tags: JsonObject) => JsonObject | undefined,
  ): Promise<void> {
    checkOwner(requester, room.userId)
    await this.#deps.db.write('change_tags', async (tx) => {
      const { userId, roomId } = room
      const old = await this.#deps.accountData.get(tx, userId, roomId, TAGS_TYPE)
      const tags = change(tagsOf(old))
      if (tags === undefined) return
      const content = { ...old, tags }
      if (Buffer.byteLength(JSON.stringify(content)) > MAX_CONTENT_BYTES) throw tooLarge('Too many tags')
      await this.writeIn(tx, userId, { roomId, type: TAGS_TYPE, content })
    })
  }
}

function tagsOf(content: JsonObject | undefined): JsonObject {
  const tags = content?.['tags']
  return isJsonObject(tags) ? tags : {}
}

function checkWritable(type: string): void {
  if (!SERVER_MANAGED_TYPES.has(type)) return
  throw new MatrixError('M_BAD_JSON', `Cannot set ${type} through this API`, { status: 405 })
}

function checkOwner(requester: Requester, userId: UserId): void {
  if (requester.userId !== userId) throw forbidden('Cannot access the account data of other users')
}
