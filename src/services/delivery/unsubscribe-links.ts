import { createHmac, timingSafeEqual } from 'node:crypto'
import { forbidden } from '../../protocol/errors.js'
import { parseUserId } from '../../protocol/ids.js'
import type { PusherKey } from '../../storage/stores/pushers.js'

export interface UnsubscribeLinksOptions {
  /** `public_baseurl`, with a slash at its end. */
  readonly publicBaseUrl: string
  readonly secret: string
}

/** What stands in the query of a link. */
export interface UnsubscribeQuery {
  readonly token: string
  readonly appId: string
  readonly pushkey: string
}

const PATH = '_synapse/client/unsubscribe'

/** Links in mails that end the mails: good for one pusher, for ever. */
export class UnsubscribeLinks {
  readonly #options: UnsubscribeLinksOptions

  constructor(options: UnsubscribeLinksOptions) {
    this.#options = options
  }

  linkFor({ userId, appId, pushkey }: PusherKey): string {
    const token = `${Buffer.from(userId).toString('base64url')}.${this.#sign({ userId, appId, pushkey })}`
    const query = new URLSearchParams({ access_token: token, app_id: appId, pushkey })
    return `${this.#options.publicBaseUrl}${PATH}?${query.toString()}`
  }

  /** The pusher that a link is for. Throws `M_FORBIDDEN` for links that this server has not made. */
  parse({ token, appId, pushkey }: UnsubscribeQuery): PusherKey {
    const [encoded = '', signature = ''] = token.split('.')
    const userId = parseUserId(Buffer.from(encoded, 'base64url').toString('utf8'))
    if (userId === undefined) throw badLink()
    const key = { userId, appId, pushkey }
    const expected = Buffer.from(this.#sign(key))
    const given = Buffer.from(signature)
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) throw badLink()
    return key
  }

  #sign({ userId, appId, pushkey }: PusherKey): string {
    const text = ['unsubscribe', userId, appId, pushkey].join('\n')
    return createHmac('sha256', this.#options.secret).update(text).digest('base64url')
  }
}

function badLink() {
  return forbidden('This link is not valid')
}
