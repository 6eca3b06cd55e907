import { createHash } from 'node:crypto'
import { encodeUrlSafeBase64 } from '../../util/base64.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import { HttpFailure, type HttpClient, type HttpMethod } from '../http-client.js'

/** An e-mail address or telephone number. */
export interface Identifier {
  readonly medium: string
  /** In canonical form. */
  readonly address: string
}

/** An identity server, and how somebody is known to it. */
export interface IdentityAccess {
  /** A host name, with a port where that is not 443. */
  readonly server: string
  readonly accessToken: string
}

/** A key that an identity server signs with. */
export interface IdentityKey {
  readonly publicKey: string
  readonly validityUrl: string | undefined
}

/** What an identity server has made of an invitation that it keeps. */
export interface StoredInvite {
  readonly token: string
  readonly displayName: string
  /** At least one. */
  readonly publicKeys: readonly IdentityKey[]
}

/** An identity server has answered with something else than what was asked for. */
export class IdentityServerError extends Error {
  override readonly name = 'IdentityServerError'
  readonly status: number
  /** Undefined: the answer is no error of Matrix. */
  readonly errcode: string | undefined

  constructor(status: number, body: JsonObject | undefined) {
    const { errcode, error } = body ?? {}
    super(typeof error === 'string' ? error.slice(0, MAX_MESSAGE_LENGTH) : `it answers with status ${status}`)
    this.status = status
    this.errcode = typeof errcode === 'string' ? errcode : undefined
  }
}

interface Call {
  readonly server: string
  readonly method: HttpMethod
  readonly path: string
  readonly authorization: string
  readonly body?: JsonObject
}

const TIMEOUT_MS = 30_000
const MAX_ANSWER_BYTES = 64 * 1024
const MAX_MESSAGE_LENGTH = 500
const API = '/_matrix/identity/v2'
/** What a token may be, since it becomes a state key. */
const TOKEN = /^[0-9a-zA-Z.=_-]{1,255}$/

/**
 * Speaks to identity servers, which clients choose. Every method rejects with an `IdentityServerError` for answers that are
 * none, and with a `HttpFailure` where there is no answer.
 * https://spec.matrix.org/latest/identity-service-api/
 */
export class IdentityServerClient {
  readonly #http: Pick<HttpClient, 'request'>

  /** @param http must not reach private addresses: strangers name the servers */
  constructor(http: Pick<HttpClient, 'request'>) {
    this.#http = http
  }

  /** Gives the user ID that an identifier is bound to, as the server says it. */
  async lookUp(access: IdentityAccess, identifier: Identifier): Promise<string | undefined> {
    const authorization = bearer(access)
    const { server } = access
    const details = await this.#call({ server, method: 'GET', path: `${API}/hash_details`, authorization })
    const { lookup_pepper: pepper, algorithms } = details
    if (typeof pepper !== 'string' || !Array.isArray(algorithms))
      throw new IdentityServerError(200, undefined)
    const algorithm = algorithms.includes('sha256') ? 'sha256' : 'none'
    if (!algorithms.includes(algorithm)) throw new IdentityServerError(200, undefined)
    const address = algorithm === 'sha256' ? hashOf(identifier, pepper) : plainOf(identifier)
    const body = { addresses: [address], algorithm, pepper }
    const answer = await this.#call({ server, method: 'POST', path: `${API}/lookup`, authorization, body })
    const mappings = isJsonObject(answer['mappings']) ? answer['mappings'] : {}
    const userId = Object.hasOwn(mappings, address) ? mappings[address] : undefined
    return typeof userId === 'string' ? userId : undefined
  }

  /** Has the server tell somebody that they are invited, and keep that until the identifier is bound. */
  async storeInvite(access: IdentityAccess, invite: JsonObject): Promise<StoredInvite> {
    const { server } = access
    const call = {
      server,
      method: 'POST' as const,
      path: `${API}/store-invite`,
      authorization: bearer(access),
    }
    const answer = await this.#call({ ...call, body: invite })
    const { token, display_name: displayName } = answer
    const publicKeys = keysOf(answer)
    if (typeof token !== 'string' || !TOKEN.test(token) || publicKeys.length === 0)
      throw new IdentityServerError(200, undefined)
    return { token, displayName: typeof displayName === 'string' ? displayName : '', publicKeys }
  }

  /** Binds the identifier that has been proven in a session to a user, and gives it. */
  async bind(
    access: IdentityAccess,
    { sid, clientSecret, userId }: { sid: string; clientSecret: string; userId: string },
  ): Promise<Identifier> {
    const { server } = access
    const call = { server, method: 'POST' as const, path: `${API}/3pid/bind`, authorization: bearer(access) }
    const answer = await this.#call({ ...call, body: { sid, client_secret: clientSecret, mxid: userId } })
    const { medium, address } = answer
    if (!isShortText(medium) || !isShortText(address)) throw new IdentityServerError(200, undefined)
    return { medium, address }
  }

  /** @param sign makes the `Authorization` header that proves which homeserver asks */
  async unbind(
    server: string,
    { userId, identifier }: { userId: string; identifier: Identifier },
    sign: (request: { method: string; uri: string; content: JsonObject }) => string,
  ): Promise<void> {
    const { medium, address } = identifier
    const path = `${API}/3pid/unbind`
    const body = { mxid: userId, threepid: { medium, address } }
    const authorization = sign({ method: 'POST', uri: path, content: body })
    await this.#call({ server, method: 'POST', path, authorization, body })
  }

  /** Whether a key is still good, as the server says at the URL that came with it. */
  async isKeyValid({ publicKey, validityUrl }: IdentityKey & { validityUrl: string }): Promise<boolean> {
    if (!URL.canParse(validityUrl)) throw new HttpFailure('malformed', 'the URL of a key is none')
    const url = new URL(validityUrl)
    url.searchParams.set('public_key', publicKey)
    const { status, body } = await this.#http.request({
      method: 'GET',
      url: url.href,
      timeoutMs: TIMEOUT_MS,
      maxBytes: MAX_ANSWER_BYTES,
    })
    return status === 200 && parseObject(body)?.['valid'] === true
  }

  async #call({ server, method, path, authorization, body: content }: Call): Promise<JsonObject> {
    const { status, body } = await this.#http.request({
      method,
      url: `https://${server}${path}`,
      headers: {
        Authorization: authorization,
        ...(content !== undefined && { 'Content-Type': 'application/json' }),
      },
      ...(content !== undefined && { body: JSON.stringify(content) }),
      timeoutMs: TIMEOUT_MS,
      maxBytes: MAX_ANSWER_BYTES,
    })
    const answer = parseObject(body)
    if (status < 200 || status > 299 || answer === undefined) throw new IdentityServerError(status, answer)
    return answer
  }
}

function bearer({ accessToken }: IdentityAccess): string {
  return `Bearer ${accessToken}`
}

/** https://spec.matrix.org/latest/identity-service-api/#sha256 */
function hashOf(identifier: Identifier, pepper: string): string {
  return encodeUrlSafeBase64(
    createHash('sha256')
      .update(`${plainOf(identifier)} ${pepper}`)
      .digest(),
  )
}

function plainOf({ medium, address }: Identifier): string {
  return `${address} ${medium}`
}

/** What can be kept anywhere. */
function isShortText(value: unknown): value is string {
  if (typeof value !== 'string' || value.length > MAX_MESSAGE_LENGTH) return false
  return value !== '' && value.isWellFormed() && !value.includes('\0')
}

/** Old servers name one key alone. */
function keysOf(answer: JsonObject): IdentityKey[] {
  const listed = Array.isArray(answer['public_keys']) ? answer['public_keys'] : [answer]
  return listed.filter(isJsonObject).flatMap((entry) => {
    const { public_key: publicKey, key_validity_url: url } = entry
    if (typeof publicKey !== 'string') return []
    return [{ publicKey, validityUrl: typeof url === 'string' ? url : undefined }]
  })
}

function parseObject(body: Buffer): JsonObject | undefined {
  try {
    const parsed: unknown = JSON.parse(body.toString('utf8'))
    return isJsonObject(parsed) ? parsed : undefined
  } catch {
    return undefined
  }
}
