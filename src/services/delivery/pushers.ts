import { invalidParam, MatrixError, missingParam } from '../../protocol/errors.js'
import type { DeviceId, UserId } from '../../protocol/ids.js'
import type { Database, Tx } from '../../storage/database.js'
import type { PusherKey, PusherKind, PusherRecord, PushersStore } from '../../storage/stores/pushers.js'
import type { Clock } from '../../util/clock.js'
import type { JsonObject } from '../../util/json.js'
import type { Requester } from '../accounts/requester.js'
import type { ThreepidCleanup } from '../accounts/threepids.js'
import type { DeviceCleanup } from '../devices/devices.js'

export type { PusherRecord }

/** What a client wants of a pusher; what it left out is undefined. */
export interface PusherRequest {
  readonly appId: string
  readonly pushkey: string
  readonly kind: string
  readonly appDisplayName: string | undefined
  readonly deviceDisplayName: string | undefined
  readonly profileTag: string | undefined
  readonly lang: string | undefined
  readonly data: JsonObject | undefined
  /** Others may have a pusher with the same key, too. */
  readonly append: boolean
  readonly isEnabled: boolean
}

export interface PushersDependencies {
  readonly db: Database
  readonly pushers: PushersStore
  readonly clock: Pick<Clock, 'now'>
  /** The events stream: a new pusher is told of what comes after. */
  readonly eventsPosition: () => number
  /** Whether a user has an e-mail address, in canonical form. */
  readonly ownsEmail: (userId: UserId, address: string) => Promise<boolean>
  /** `email.enable_notifs`. */
  readonly sendsMail: boolean
}

const GATEWAY_PATH = '/_matrix/push/v1/notify'
const EMAIL_APP_ID = 'm.email'
const MAX_APP_ID_LENGTH = 64
const MAX_PUSHKEY_BYTES = 512
const MAX_NAME_LENGTH = 256
const MAX_DATA_BYTES = 16 * 1024
/** Of one user. */
const MAX_PUSHERS = 100

/** Where users want to be told of events. https://spec.matrix.org/latest/client-server-api/#push-notifications */
export class Pushers implements DeviceCleanup, ThreepidCleanup {
  readonly #deps: PushersDependencies

  constructor(deps: PushersDependencies) {
    this.#deps = deps
  }

  list(userId: UserId): Promise<PusherRecord[]> {
    return this.#deps.pushers.listForUser(this.#deps.db.reader, userId)
  }

  /**
   * Makes a pusher of the requester's, or changes it. Unless it is to be appended, others lose theirs with the same
   * key: the device has changed hands. Throws `M_MISSING_PARAM`, `M_INVALID_PARAM`, `M_THREEPID_NOT_FOUND` for mail to
   * an address that is not the user's, 400 `M_UNKNOWN` for too many.
   */
  async set(requester: Requester, request: PusherRequest): Promise<void> {
    const { userId, deviceId, tokenId } = requester
    const settings = checkRequest(request)
    if (settings.kind === 'http') checkGateway(settings.data)
    else await this.#checkEmail(userId, request)
    const key = { userId, appId: request.appId, pushkey: request.pushkey }
    await this.#deps.db.write('set_pusher', async (tx) => {
      const own = await this.#deps.pushers.listForUser(tx, userId)
      if (own.length >= MAX_PUSHERS && !own.some((pusher) => isSame(pusher, key))) {
        throw new MatrixError('M_UNKNOWN', `A user may have ${MAX_PUSHERS} pushers`, { status: 400 })
      }
      if (!request.append) await this.#deps.pushers.deleteOfOthers(tx, key)
      await this.#deps.pushers.upsert(
        tx,
        { ...settings, ...key, deviceId, tokenId, pushkeyTs: this.#deps.clock.now() },
        this.#deps.eventsPosition(),
      )
    })
  }

  /** Deletes a pusher; one that is not there is as good as deleted. */
  async delete(key: PusherKey): Promise<void> {
    await this.#deps.db.write('delete_pusher', (tx) => this.#deps.pushers.delete(tx, key))
  }

  /** Tells somebody by mail of what they have not read; for as long as the address is theirs. */
  async subscribeByMail(tx: Tx, userId: UserId, address: string): Promise<void> {
    if (!this.#deps.sendsMail) return
    const pusher = {
      kind: 'email' as const,
      userId,
      appId: EMAIL_APP_ID,
      pushkey: address,
      appDisplayName: 'Email Notifications',
      deviceDisplayName: address,
      profileTag: undefined,
      lang: 'en',
      data: {},
      isEnabled: true,
      deviceId: undefined,
      tokenId: undefined,
      pushkeyTs: this.#deps.clock.now(),
    }
    await this.#deps.pushers.upsert(tx, pusher, this.#deps.eventsPosition())
  }

  async deleteForDevices(tx: Tx, userId: UserId, deviceIds: readonly DeviceId[]): Promise<void> {
    await this.#deps.pushers.deleteForDevices(tx, userId, deviceIds)
  }

  /** An address that is not the user's any more is sent nothing. */
  async deleteForThreepid(
    tx: Tx,
    userId: UserId,
    { medium, address }: { medium: string; address: string },
  ): Promise<void> {
    if (medium !== 'email') return
    await this.#deps.pushers.deleteForAddress(tx, userId, address)
  }

  async deleteForUser(tx: Tx, userId: UserId): Promise<void> {
    await this.#deps.pushers.deleteForUser(tx, userId)
  }

  async #checkEmail(userId: UserId, { appId, pushkey }: PusherRequest): Promise<void> {
    if (!this.#deps.sendsMail) throw invalidParam('This server sends no notifications by mail')
    if (appId !== EMAIL_APP_ID) throw invalidParam(`app_id must be ${EMAIL_APP_ID} for mail`)
    if (!(await this.#deps.ownsEmail(userId, pushkey))) {
      throw new MatrixError('M_THREEPID_NOT_FOUND', 'pushkey must be an e-mail address of your account')
    }
  }
}

function isSame(pusher: PusherKey, { appId, pushkey }: PusherKey): boolean {
  return pusher.appId === appId && pusher.pushkey === pushkey
}

function checkRequest(request: PusherRequest) {
  const { kind, appId, pushkey, appDisplayName, deviceDisplayName, lang, data, profileTag } = request
  if (appDisplayName === undefined) throw missingParam('app_display_name')
  if (deviceDisplayName === undefined) throw missingParam('device_display_name')
  if (lang === undefined) throw missingParam('lang')
  if (data === undefined) throw missingParam('data')
  if (!isKind(kind)) throw invalidParam('kind must be http or email')
  if (appId.length > MAX_APP_ID_LENGTH) throw invalidParam(`app_id may have ${MAX_APP_ID_LENGTH} characters`)
  if (Buffer.byteLength(pushkey) > MAX_PUSHKEY_BYTES) {
    throw invalidParam(`pushkey may have ${MAX_PUSHKEY_BYTES} bytes`)
  }
  for (const name of [appDisplayName, deviceDisplayName, lang, profileTag ?? '']) {
    if (name.length > MAX_NAME_LENGTH) throw invalidParam(`Names may have ${MAX_NAME_LENGTH} characters`)
  }
  if (Buffer.byteLength(JSON.stringify(data)) > MAX_DATA_BYTES) {
    throw invalidParam(`data may have ${MAX_DATA_BYTES} bytes`)
  }
  const { isEnabled } = request
  return { kind, appDisplayName, deviceDisplayName, lang, data, profileTag, isEnabled }
}

function isKind(kind: string): kind is PusherKind {
  return kind === 'http' || kind === 'email'
}

function checkGateway(data: JsonObject): void {
  const { url } = data
  if (url === undefined) throw missingParam('data.url')
  if (typeof url !== 'string' || !URL.canParse(url)) throw invalidParam('data.url must be a URL')
  const { protocol, pathname } = new URL(url)
  if (protocol !== 'https:' && protocol !== 'http:') throw invalidParam('data.url must be a URL of https')
  if (pathname !== GATEWAY_PATH) throw invalidParam(`data.url must have the path ${GATEWAY_PATH}`)
}
