import { forbidden } from '../../protocol/errors.js'
import { parseMxcUri } from '../../protocol/mxc-uri.js'
import type { Database } from '../../storage/database.js'
import type { MediaStore } from '../../storage/stores/media.js'
import { essenceOf, UNKNOWN_TYPE } from './media-names.js'

export interface AvatarRulesOptions {
  /** In bytes; undefined: any. */
  readonly maxBytes: number | undefined
  /** Content types without parameters; undefined: any. */
  readonly types: readonly string[] | undefined
}

/** Which files may be pictures of users. */
export class AvatarRules {
  readonly #db: Database
  readonly #media: MediaStore
  readonly #options: AvatarRulesOptions

  constructor(deps: { db: Database; media: MediaStore }, options: AvatarRulesOptions) {
    this.#db = deps.db
    this.#media = deps.media
    this.#options = options
  }

  /** Throws `M_FORBIDDEN` for a URI whose file is too large, of a wrong type, or not here, where that matters. */
  async check(uri: string): Promise<void> {
    const { maxBytes, types } = this.#options
    if (maxBytes === undefined && types === undefined) return
    const id = parseMxcUri(uri)
    const record = id && (await this.#media.get(this.#db.reader, id))
    if (record?.length === undefined) throw forbidden('There is no such file to be an avatar')
    if (maxBytes !== undefined && record.length > maxBytes)
      throw forbidden('The file is too large for an avatar')
    if (types !== undefined && !types.includes(essenceOf(record.contentType ?? UNKNOWN_TYPE))) {
      throw forbidden('Files of this type cannot be avatars')
    }
  }
}
