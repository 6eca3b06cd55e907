import { createHash } from 'node:crypto'
import { clientEventJson } from '../../protocol/client-event.js'
import type { UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { AccountBelongingsStore, RoomOfAccount } from '../../storage/stores/account-belongings.js'
import type { AccountDataStore } from '../../storage/stores/account-data.js'
import type { ClientIpsStore } from '../../storage/stores/client-ips.js'
import type { CurrentStateStore } from '../../storage/stores/current-state.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { BackedUpSession, KeyBackupsStore } from '../../storage/stores/key-backups.js'
import type { MediaAdministrationStore } from '../../storage/stores/media-administration.js'
import type { MediaRecord } from '../../storage/stores/media.js'
import type { PushRulesStore } from '../../storage/stores/push-rules.js'
import type { PushersStore } from '../../storage/stores/pushers.js'
import type { EventVisibility } from '../events/event-visibility.js'
import type { MediaFiles } from '../media/media-files.js'
import type { AccountOverviews } from './account-overviews.js'

/** One file of an export. `name` is a relative path whose parts are safe as names of files. */
export interface ExportedFile {
  readonly name: string
  /** Text, or the file on the disk that is to be copied. */
  readonly content: { readonly text: string } | { readonly path: string }
  /** To be called when it has been written; the file on the disk may be gone afterwards. */
  readonly release?: () => Promise<void>
}

export interface AccountExportDependencies {
  readonly db: Database
  readonly overviews: Pick<AccountOverviews, 'show'>
  readonly belongings: AccountBelongingsStore
  readonly accountData: AccountDataStore
  readonly clientIps: ClientIpsStore
  readonly pushers: PushersStore
  readonly pushRules: Pick<PushRulesStore, 'get'>
  readonly keyBackups: Pick<KeyBackupsStore, 'getCurrent' | 'pageSessions'>
  readonly events: EventsStore
  readonly currentState: CurrentStateStore
  readonly visibility: Pick<EventVisibility, 'filter'>
  readonly media: MediaAdministrationStore
  readonly files: Pick<MediaFiles, 'pathOf'>
}

/** Events that are looked at together. */
const PAGE = 500
/** No file of events is much larger than this, in UTF-16 units. */
const MAX_FILE_LENGTH = 4 * 1024 * 1024
const MEDIA_PAGE = 500
const SESSIONS_PAGE = 1_000
const MAX_CONNECTIONS = 100_000

/**
 * Hands over all that this server keeps of a person: the account and its data, devices and addresses, rooms with what
 * the person may see of them and has sent, memberships, receipts, reports, rules of notifications, the backup of keys as
 * it is (encrypted for the person), and the files that were uploaded. Passwords, tokens, and keys that only their own
 * devices can use are left out. Only reads; holds one page of events in memory.
 */
export class AccountExport {
  readonly #deps: AccountExportDependencies

  constructor(deps: AccountExportDependencies) {
    this.#deps = deps
  }

  /** File by file. Throws `M_INVALID_PARAM` for users of other servers, `M_NOT_FOUND` for those that are not there. */
  async *files(userId: UserId): AsyncGenerator<ExportedFile> {
    yield* this.#account(userId)
    const rooms = await this.#deps.belongings.listRooms(this.#deps.db.reader, userId)
    for (const room of rooms) yield* this.#room(userId, room)
    yield* this.#media(userId)
  }

  async *#account(userId: UserId): AsyncGenerator<ExportedFile> {
    const { db, overviews, belongings, accountData, clientIps, pushers } = this.#deps
    const q = db.reader
    yield jsonFile('account.json', await overviews.show(userId))
    const entries = await accountData.getAll(q, userId)
    yield jsonFile(
      'account_data.json',
      entries.map(({ roomId, type, content }) => ({ room_id: roomId, type, content })),
    )
    const seen = await clientIps.listForUser(q, userId, MAX_CONNECTIONS)
    yield jsonFile(
      'connections.json',
      seen.map(({ deviceId, ip, userAgent, lastSeenTs }) => ({ deviceId, ip, userAgent, lastSeenTs })),
    )
    yield jsonFile('pushers.json', await pushers.listForUser(q, userId))
    yield jsonFile('push_rules.json', await this.#deps.pushRules.get(q, userId))
    yield* this.#keyBackup(userId)
    yield jsonFile('memberships.json', await belongings.listMemberships(q, userId))
    yield jsonFile('receipts.json', await belongings.listReceipts(q, userId))
    yield jsonFile('reports.json', await belongings.listReports(q, userId))
  }

  /** The backup that is in use: what it is encrypted with only the person knows. */
  async *#keyBackup(userId: UserId): AsyncGenerator<ExportedFile> {
    const { db, keyBackups } = this.#deps
    const backup = await keyBackups.getCurrent(db.reader, userId)
    if (backup === undefined) return
    const { version, algorithm, authData, count } = backup
    yield jsonFile('key_backup.json', { version, algorithm, auth_data: authData, count })
    yield* lineFiles('key_backup', this.#sessions(userId, version))
  }

  async *#sessions(userId: UserId, version: number): AsyncGenerator<readonly object[]> {
    const { db, keyBackups } = this.#deps
    let after: BackedUpSession | undefined
    for (;;) {
      const page = await keyBackups.pageSessions(
        db.reader,
        { userId, version },
        { after, limit: SESSIONS_PAGE },
      )
      yield page.map((session) => ({
        room_id: session.roomId,
        session_id: session.sessionId,
        first_message_index: session.firstMessageIndex,
        forwarded_count: session.forwardedCount,
        is_verified: session.isVerified,
        session_data: session.sessionData,
      }))
      if (page.length < SESSIONS_PAGE) return
      after = page.at(-1)
    }
  }

  async *#room(userId: UserId, room: RoomOfAccount): AsyncGenerator<ExportedFile> {
    const { db, events, currentState } = this.#deps
    const directory = `rooms/${safeName(room.roomId)}`
    const own = (await events.getByNids(db.reader, [room.eventNid])).get(room.eventNid)
    yield jsonFile(`${directory}/room.json`, {
      roomId: room.roomId,
      membership: room.membership,
      forgotten: room.forgotten,
      membershipEvent: own && toJson(own),
    })
    if (room.membership === 'join') {
      const entries = await currentState.list(db.reader, room.roomNid)
      yield* lineFiles(`${directory}/state`, this.#inPages(entries.map(({ eventNid }) => eventNid)))
    }
    yield* lineFiles(`${directory}/events`, this.#seenOrSent(userId, room.roomNid))
  }

  /** What of a room's timeline the user may see or has sent. */
  async *#seenOrSent(userId: UserId, roomNid: number): AsyncGenerator<readonly object[]> {
    const { db, belongings, visibility } = this.#deps
    let after = Number.MIN_SAFE_INTEGER
    for (;;) {
      const page = await belongings.listEvents(db.reader, roomNid, { after, limit: PAGE })
      const last = page.at(-1)?.streamOrdering
      if (last === undefined || last === null) return
      const seen = new Map(
        (await visibility.filter(userId, page)).map((stored) => [stored.eventNid, stored] as const),
      )
      yield page.flatMap((stored) => {
        const isOwn = stored.event.sender === userId && stored.rejected === null
        const shown = seen.get(stored.eventNid) ?? (isOwn ? stored : undefined)
        return shown === undefined ? [] : toJson(shown)
      })
      after = last
    }
  }

  async *#inPages(eventNids: readonly number[]): AsyncGenerator<readonly object[]> {
    for (let start = 0; start < eventNids.length; start += PAGE) {
      const nids = eventNids.slice(start, start + PAGE)
      const found = await this.#deps.events.getByNids(this.#deps.db.reader, nids)
      yield nids.flatMap((nid) => {
        const stored = found.get(nid)
        return stored === undefined ? [] : toJson(stored)
      })
    }
  }

  async *#media(userId: UserId): AsyncGenerator<ExportedFile> {
    const { db, media, files } = this.#deps
    const described: object[] = []
    for (let from = 0; ; from += MEDIA_PAGE) {
      const page = { from, limit: MEDIA_PAGE, orderBy: 'mediaId', isDescending: false } as const
      const { files: records } = await media.listOfUser(db.reader, userId, page)
      for (const record of records) {
        const name = `media/${safeName(record.mediaId)}`
        const found = record.fileKey === undefined ? undefined : await files.pathOf(record.fileKey)
        if (found) yield { name, content: { path: found.path }, release: found.release }
        described.push(describeMedia(record, found && name))
      }
      if (records.length < MEDIA_PAGE) break
    }
    yield jsonFile('media.json', described)
  }
}

/** One object a line, in files of a bounded size. */
async function* lineFiles(
  prefix: string,
  pages: AsyncGenerator<readonly object[]>,
): AsyncGenerator<ExportedFile> {
  let lines: string[] = []
  let length = 0
  let number = 0
  const file = (): ExportedFile => {
    number += 1
    const text = lines.join('')
    lines = []
    length = 0
    return { name: `${prefix}-${String(number).padStart(4, '0')}.jsonl`, content: { text } }
  }
  for await (const page of pages) {
    for (const value of page) {
      const line = `${JSON.stringify(value)}\n`
      lines.push(line)
      length += line.length
      if (length >= MAX_FILE_LENGTH) yield file()
    }
  }
  if (lines.length > 0) yield file()
}

function describeMedia(record: MediaRecord, file: string | undefined): object {
  const { serverName, mediaId, contentType, uploadName, length, createdTs, sha256 } = record
  return { uri: `mxc://${serverName}/${mediaId}`, file, contentType, uploadName, length, createdTs, sha256 }
}

function toJson({ event }: StoredEvent): object {
  return clientEventJson(event, {})
}

function jsonFile(name: string, value: unknown): ExportedFile {
  return { name, content: { text: `${JSON.stringify(value, undefined, 2)}\n` } }
}

/** IDs of strangers as names of files: without separators, and not too long for any file system. */
function safeName(id: string): string {
  const name = encodeURIComponent(id).replace(/^\./, '%2E')
  return name.length <= 200 ? name : createHash('sha256').update(id).digest('hex')
}
