import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import type { HttpClient } from '../../net/http-client.js'
import type { UserId } from '../../protocol/ids.js'
import { parseMxcUri } from '../../protocol/mxc-uri.js'
import type { Database } from '../../storage/database.js'
import type { MediaStore } from '../../storage/stores/media.js'
import type { ProfilesStore } from '../../storage/stores/profiles.js'
import type { Profiles } from '../accounts/profiles.js'
import { actingFor } from '../accounts/requester.js'
import type { MediaUploads } from '../media/media-uploads.js'

export interface ProfilePicturesDependencies {
  readonly db: Database
  /** To addresses that strangers name. */
  readonly http: Pick<HttpClient, 'request'>
  readonly media: Pick<MediaStore, 'get'>
  readonly uploads: Pick<MediaUploads, 'upload' | 'maxUploadSize'>
  readonly profileRows: Pick<ProfilesStore, 'get'>
  readonly profiles: Pick<Profiles, 'setField'>
  /** `max_avatar_size`; undefined: any. */
  readonly maxBytes: number | undefined
}

const TIMEOUT_MS = 10_000
const MAX_REDIRECTS = 3
/** Held in memory. */
const MAX_BYTES = 10 * 1024 * 1024
/** What people may upload as a picture of themselves and browsers show without running anything. */
const TYPES = /^image\/(?:png|jpeg|gif|webp|avif)$/

/** Pictures of people that other services have. */
export class ProfilePictures {
  readonly #deps: ProfilePicturesDependencies

  constructor(deps: ProfilePicturesDependencies) {
    this.#deps = deps
  }

  /** Fetches a picture and makes it that of a user, unless it is already. Rejects where it cannot be had. */
  async adopt(userId: UserId, url: string): Promise<void> {
    const { http, uploads, profiles, maxBytes = MAX_BYTES } = this.#deps
    const reply = await http.request({
      method: 'GET',
      url,
      headers: { Accept: 'image/png, image/jpeg, image/gif, image/webp, image/avif' },
      timeoutMs: TIMEOUT_MS,
      maxBytes: Math.min(maxBytes, uploads.maxUploadSize, MAX_BYTES),
      maxRedirects: MAX_REDIRECTS,
    })
    const contentType = typeOf(reply.headers['content-type'])
    if (reply.status !== 200) throw new Error(`The picture is answered with status ${reply.status}`)
    if (!TYPES.test(contentType)) throw new Error('The picture is of no type that avatars have')
    if (await this.#isCurrent(userId, createHash('sha256').update(reply.body).digest('hex'))) return
    const requester = actingFor({ userId, isGuest: false })
    const uri = await uploads.upload(requester, {
      stream: Readable.from([reply.body]),
      announcedLength: reply.body.length,
      contentType,
      fileName: undefined,
    })
    await profiles.setField(requester, userId, {
      field: 'avatar_url',
      body: { avatar_url: uri },
      byAuthority: true,
    })
  }

  async #isCurrent(userId: UserId, sha256: string): Promise<boolean> {
    const { db, media, profileRows } = this.#deps
    const profile = await profileRows.get(db.reader, userId)
    const id = profile?.avatarUrl === undefined ? undefined : parseMxcUri(profile.avatarUrl)
    const file = id && (await media.get(db.reader, id))
    return file?.sha256 === sha256
  }
}

function typeOf(header: string | string[] | undefined): string {
  const first = typeof header === 'object' ? header[0] : header
  return (first?.split(';', 1)[0] ?? '').trim().toLowerCase()
}
