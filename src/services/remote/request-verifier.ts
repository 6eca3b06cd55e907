import { forbidden, MatrixError } from '../../protocol/errors.js'
import type { ServerName } from '../../protocol/ids.js'
import { parseXMatrix, requestText, type XMatrix } from '../../protocol/x-matrix.js'
import type { Logger } from '../../telemetry/logger.js'
import type { JsonValue } from '../../util/json.js'
import type { Destinations } from './destinations.js'
import { SignatureError, type Keyring } from './keyring.js'

export interface RequestVerifierDependencies {
  readonly serverName: ServerName
  readonly keyring: Pick<Keyring, 'verifyRequest'>
  readonly destinations: Pick<Destinations, 'markAlive'>
  /** `federation_domain_whitelist`; undefined: everybody. */
  readonly allowedDomains: ReadonlySet<string> | undefined
  readonly logger: Logger
}

/** A request of another server, before it is known to be one. */
export interface SignedRequest {
  /** All `Authorization` headers. */
  readonly authorization: readonly string[]
  readonly method: string
  /** Path and query as sent. */
  readonly uri: string
  /** The body; undefined where there is none. */
  readonly content: JsonValue | undefined
}

/** Finds out which server sends a request, by its signature. */
export class RequestVerifier {
  readonly #deps: RequestVerifierDependencies

  constructor(deps: RequestVerifierDependencies) {
    this.#deps = deps
  }

  /**
   * The server that a request says that it is from, which need not be true, so that limits can be kept before anything
   * costs time. Throws `M_UNAUTHORIZED` where it does not say so (with status 400 where it tries to), says different
   * things, or is meant for another server; `M_FORBIDDEN` for servers that the configuration does not allow.
   */
  claimedOrigin({ authorization }: Pick<SignedRequest, 'authorization'>): ServerName {
    return this.#read(authorization)[0]!.origin
  }

  /**
   * The server that has signed a request. Throws as `claimedOrigin`, and `M_UNAUTHORIZED` where no signature is right.
   * https://spec.matrix.org/latest/server-server-api/#request-authentication
   */
  async verify({ authorization, method, uri, content }: SignedRequest): Promise<ServerName> {
    const { serverName, keyring, destinations } = this.#deps
    const headers = this.#read(authorization)
    const { origin } = headers[0]!
    const text = signedText({ method, uri, origin, destination: serverName, content })
    const signatures = new Map(headers.map(({ keyId, signature }) => [keyId, signature]))
    try {
      await keyring.verifyRequest(origin, text, signatures)
    } catch (error) {
      if (!(error instanceof SignatureError)) throw error
      this.#deps.logger.info({ origin, method, uri, reason: error.message }, 'A request was not signed well')
      throw unauthorized(error.message)
    }
    destinations.markAlive(origin)
    return origin
  }

  #read(authorization: readonly string[]): readonly XMatrix[] {
    if (authorization.length === 0) throw unauthorized('The request is not signed')
    if (authorization.length > MAX_SIGNATURES) throw unauthorized('The request has too many signatures')
    const headers = authorization.flatMap((header) => parseXMatrix(header) ?? [])
    const first = headers[0]
    if (first === undefined) throw notXMatrix(authorization)
    for (const { origin, destination } of headers) {
      if (origin !== first.origin) throw unauthorized('The request is signed by several servers')
      if (destination !== undefined && destination !== this.#deps.serverName) {
        throw unauthorized('The request is for another server')
      }
    }
    if (this.#deps.allowedDomains?.has(first.origin) === false) {
      throw forbidden(`This server does not talk to ${first.origin}`)
    }
    return headers
  }
}

/** Servers that change their key sign with both. */
const MAX_SIGNATURES = 10

function signedText(request: Parameters<typeof requestText>[0]): string {
  try {
    return requestText(request)
  } catch (error) {
    // There is no canonical form of it, so nobody has signed it.
    if (error instanceof MatrixError) throw unauthorized(`The body cannot be signed: ${error.message}`)
    throw error
  }
}

/** To sign in a way that nobody can read is a mistake in the request; to sign in no way at all asks for it to be done. */
function notXMatrix(authorization: readonly string[]): MatrixError {
  const isMalformed = authorization.some((header) => /^X-Matrix\b/i.test(header))
  return unauthorized('The Authorization header is not a valid one of X-Matrix', isMalformed ? 400 : 401)
}

function unauthorized(message: string, status: 400 | 401 = 401): MatrixError {
  return new MatrixError('M_UNAUTHORIZED', message, { status })
}
