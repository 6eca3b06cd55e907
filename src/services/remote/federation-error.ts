import type { ServerName } from '../../protocol/ids.js'
import type { JsonObject } from '../../util/json.js'

/**
 * Why a server gave no answer that can be used. `unreachable`: none came; `refused`: it answered with an error;
 * `malformed`: what it answered is not what it should be; `backoff`: it has failed lately and was not asked; `denied`:
 * the configuration forbids to ask it.
 */
export type FederationErrorKind = 'unreachable' | 'refused' | 'malformed' | 'backoff' | 'denied'

export interface FederationErrorDetails {
  /** Of the answer. */
  readonly status?: number
  readonly errcode?: string
  /** What it answered, where that was a JSON object. */
  readonly body?: JsonObject
  readonly cause?: unknown
}

/** A request to another server that failed. The message names the server. */
export class FederationError extends Error {
  override readonly name = 'FederationError'
  readonly destination: ServerName
  readonly kind: FederationErrorKind
  readonly status: number | undefined
  readonly errcode: string | undefined
  readonly body: JsonObject | undefined

  /** `reason` completes "SERVER: ...". */
  constructor(
    destination: ServerName,
    kind: FederationErrorKind,
    reason: string,
    details: FederationErrorDetails = {},
  ) {
    super(`${destination}: ${reason}`, details.cause === undefined ? undefined : { cause: details.cause })
    this.destination = destination
    this.kind = kind
    this.status = details.status
    this.errcode = details.errcode
    this.body = details.body
  }

  /**
   * Whether the server says that it does not know the endpoint, rather than the thing asked for: an older form of the
   * request may do. https://spec.matrix.org/latest/server-server-api/#unsupported-endpoints
   */
  get isUnsupported(): boolean {
    if (this.errcode === 'M_UNRECOGNIZED') return true
    return (this.status === 404 || this.status === 405) && this.errcode === undefined
  }
}
