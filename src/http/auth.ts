import { forbidden, MatrixError, missingToken, userLocked } from '../protocol/errors.js'
import type { AuthenticationService } from '../services/accounts/authentication-service.js'
import type { Authenticator, ClientInfo, Requester } from '../services/accounts/requester.js'
import { firstParam, parseQuery, type RawQuery } from './query.js'
import type { RequestInfo, Route } from './route.js'

export interface Credentials {
  readonly authorization: string | undefined
  readonly query: RawQuery
  readonly ip: string
  readonly userAgent: string | undefined
}

const BEARER = /^Bearer +(\S+) *$/i

/**
 * The access token of a request, from its header or its query. Throws `M_MISSING_TOKEN` where both have one, since they
 * may disagree.
 * https://spec.matrix.org/latest/client-server-api/#using-access-tokens
 */
function accessTokenOf({
  authorization,
  query,
}: Pick<Credentials, 'authorization' | 'query'>): string | undefined {
  const inQuery = firstParam(query, 'access_token')
  const inHeader = authorization === undefined ? undefined : BEARER.exec(authorization)?.[1]
  if (inHeader !== undefined && inQuery !== undefined) {
    throw new MatrixError(
      'M_MISSING_TOKEN',
      'Give the access token in the header or in the query, not in both',
    )
  }
  const token = inHeader ?? inQuery
  return token === '' ? undefined : token
}

/** As `accessTokenOf`, for the few handlers that look at tokens themselves. */
export function tokenOfRequest({ headers, url }: Pick<RequestInfo, 'headers' | 'url'>): string | undefined {
  const search = url.includes('?') ? url.slice(url.indexOf('?') + 1) : ''
  return accessTokenOf({ authorization: headers['authorization']?.toString(), query: parseQuery(search) })
}

/**
 * Who makes a request, as far as its route wants to know. Throws `M_MISSING_TOKEN`, `M_UNKNOWN_TOKEN`,
 * `M_USER_LOCKED`, `M_GUEST_ACCESS_FORBIDDEN`, or `M_FORBIDDEN` for those who may not call it.
 */
export async function authenticate(
  authenticator: Authenticator,
  { auth, allowLocked }: Pick<Route, 'auth' | 'allowLocked'>,
  credentials: Credentials,
): Promise<Requester | undefined> {
  if (auth === 'none' || auth === 'authenticationService') return undefined
  const token = accessTokenOf(credentials)
  if (token === undefined) {
    if (auth === 'optionalUser') return undefined
    throw missingToken()
  }
  const requester = await authenticator.authenticate(token, clientOf(credentials))
  if (requester.isLocked && allowLocked !== true) throw userLocked()
  if (requester.isGuest && auth === 'user') {
    throw new MatrixError('M_GUEST_ACCESS_FORBIDDEN', 'Guests may not do this')
  }
  if (auth === 'admin' && !requester.isAdmin) throw forbidden('You are not a server administrator')
  if (auth === 'appservice' && requester.appserviceId === undefined) {
    throw forbidden('Only application services may do this')
  }
  return requester
}

/**
 * Lets the authentication service through and nobody else. Throws `M_MISSING_TOKEN`, or 403 `M_UNKNOWN` (as Synapse) for
 * whatever is not the secret that both share.
 */
export function checkIsAuthenticationService(
  service: Pick<AuthenticationService, 'isSecret'> | undefined,
  credentials: Pick<Credentials, 'authorization' | 'query'>,
): void {
  const token = accessTokenOf(credentials)
  if (token === undefined) throw missingToken()
  if (service?.isSecret(token) === true) return
  throw new MatrixError('M_UNKNOWN', 'This endpoint must only be called by MAS', { status: 403 })
}

function clientOf({ query, ip, userAgent }: Credentials): ClientInfo {
  const asUserId = firstParam(query, 'user_id')
  const asDeviceId = firstParam(query, 'device_id') ?? firstParam(query, 'org.matrix.msc3202.device_id')
  if (asUserId === undefined && asDeviceId === undefined) return { ip, userAgent }
  return { ip, userAgent, asUserId, asDeviceId }
}
