import type { Requester } from '../services/accounts/requester.js'
import type { UiAuth } from '../services/accounts/ui-auth.js'
import { missingToken } from '../protocol/errors.js'
import { isJsonObject, type JsonObject } from '../util/json.js'
import { HttpResponse } from './responses.js'

export interface GatedRequest {
  readonly requester: Requester
  readonly request: { readonly method: string; readonly url: string }
  readonly body: Readonly<JsonObject>
}

/**
 * Lets a request of a logged-in user through that proves, with the password or otherwise, who they are. Returns the
 * 401 to answer until then, undefined when the endpoint may go on. Application services need not prove anything.
 * `mayReuse`: a recent proof is enough where the configuration says so.
 * https://spec.matrix.org/latest/client-server-api/#user-interactive-authentication-api
 */
export async function passUiAuthGate(
  uiAuth: Pick<UiAuth, 'authenticate'>,
  { requester, request, body }: GatedRequest,
  options: { mayReuse?: boolean } = {},
): Promise<HttpResponse | undefined> {
  if (requester.appserviceId !== undefined) return undefined
  const outcome = await uiAuth.authenticate({
    requester,
    method: request.method,
    path: pathOf(request.url),
    body,
    mayReuse: options.mayReuse ?? false,
  })
  return outcome.complete ? undefined : new HttpResponse(401, { json: outcome.response })
}

/**
 * Lets a request of somebody through who is not logged in but proves an e-mail address. Returns the 401 to answer until
 * then, the address when the endpoint may go on. Throws `M_MISSING_TOKEN` where the server sends no mail.
 */
export async function passEmailGate(
  uiAuth: Pick<UiAuth, 'authenticate'>,
  { request, body }: Omit<GatedRequest, 'requester'>,
  { isOffered }: { readonly isOffered: boolean },
): Promise<HttpResponse | string> {
  if (!isOffered) throw missingToken()
  const outcome = await uiAuth.authenticate({
    requester: undefined,
    method: request.method,
    path: pathOf(request.url),
    body,
    flows: [['m.login.email.identity']],
  })
  if (!outcome.complete) return new HttpResponse(401, { json: outcome.response })
  const proof = outcome.completed['m.login.email.identity']
  const { address } = isJsonObject(proof) ? proof : {}
  return typeof address === 'string' ? address : ''
}

/** A URL as sent without its query, which may hold the access token. */
export function pathOf(url: string): string {
  const query = url.indexOf('?')
  return query === -1 ? url : url.slice(0, query)
}
