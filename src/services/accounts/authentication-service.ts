import { createHash, timingSafeEqual } from 'node:crypto'
import type {
  AuthenticationServiceClient,
  AuthenticationServiceMetadata,
} from '../../net/clients/authentication-service-client.js'
import { MatrixError } from '../../protocol/errors.js'
import type { Logger } from '../../telemetry/logger.js'
import type { Clock } from '../../util/clock.js'
import type { JsonObject } from '../../util/json.js'
import { SingleFlight } from '../../util/single-flight.js'

export interface AuthenticationServiceDependencies {
  readonly clock: Pick<Clock, 'now'>
  readonly client: Pick<AuthenticationServiceClient, 'fetchMetadata'>
  readonly logger: Pick<Logger, 'warn'>
  /** By which the service is known when it calls. */
  readonly secret: string
}

const KNOWN_FOR_MS = 5 * 60_000

/**
 * The authentication service in whose hands the accounts of this server are, as clients are told of it.
 * https://spec.matrix.org/latest/client-server-api/#oauth-20-api
 */
export class AuthenticationService {
  readonly #deps: AuthenticationServiceDependencies
  readonly #secretDigest: Buffer
  readonly #fetches = new SingleFlight<AuthenticationServiceMetadata>()
  #known: { readonly metadata: AuthenticationServiceMetadata; readonly untilTs: number } | undefined

  constructor(deps: AuthenticationServiceDependencies) {
    this.#deps = deps
    this.#secretDigest = digest(deps.secret)
  }

  /** Whether it is the service that calls. Takes as long whatever the token is. */
  isSecret(token: string): boolean {
    return timingSafeEqual(digest(token), this.#secretDigest)
  }

  /** What the service says of itself, not older than five minutes. Throws 503 `M_UNKNOWN` where it cannot be asked. */
  async getMetadata(): Promise<Readonly<JsonObject>> {
    return (await this.#get()).json
  }

  /** Throws as `getMetadata`. */
  async getIssuer(): Promise<string> {
    return (await this.#get()).issuer
  }

  /**
   * What discovery says of the service, by the name of the proposal: nothing stable says it there. Throws as
   * `getMetadata`.
   */
  async describeForWellKnown(): Promise<JsonObject> {
    const { issuer, accountUrl } = await this.#get()
    return { 'org.matrix.msc2965.authentication': { issuer, account: accountUrl } }
  }

  /**
   * Where a user allows that their cross-signing keys are replaced. Throws as `getMetadata`.
   * https://spec.matrix.org/latest/client-server-api/#oauth-authentication
   */
  async getKeyResetUrl(): Promise<string> {
    const url = new URL((await this.#get()).accountUrl)
    url.searchParams.set('action', 'org.matrix.cross_signing_reset')
    return url.href
  }

  async #get(): Promise<AuthenticationServiceMetadata> {
    if (this.#known !== undefined && this.#known.untilTs > this.#deps.clock.now()) return this.#known.metadata
    return this.#fetches.run('', () => this.#fetch())
  }

  async #fetch(): Promise<AuthenticationServiceMetadata> {
    const { clock, client, logger } = this.#deps
    try {
      const metadata = await client.fetchMetadata()
      this.#known = { metadata, untilTs: clock.now() + KNOWN_FOR_MS }
      return metadata
    } catch (err) {
      logger.warn({ err }, 'The authentication service does not say what it is')
      throw new MatrixError('M_UNKNOWN', 'The authentication service cannot be reached', { status: 503 })
    }
  }
}

/** Texts of any length become comparable in constant time. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
