import { html, redirect, type HttpResponse } from '../../http/responses.js'
import type { RequestInfo } from '../../http/route.js'
import { MatrixError } from '../../protocol/errors.js'
import type { SignOnAnswer, SignOnCookie } from '../../services/sign-on/sign-on-answer.js'
import type { SignOn, SignOnRequest } from '../../services/sign-on/sign-on.js'
import type { SignOnPages } from '../../services/sign-on/sign-on-pages.js'

/** Tokens stand in addresses: no other site is told of them, and nobody keeps the page. */
const HEADERS = {
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  // Not form-action: browsers hold it against what a form redirects to, which is the client in the end.
  'Content-Security-Policy': "frame-ancestors 'none'; base-uri 'none'; object-src 'none'",
} as const

/** What a browser gets of single sign-on; what goes wrong is said on a page. */
export function answerPage(pages: SignOnPages, run: () => Promise<SignOnAnswer>): Promise<HttpResponse> {
  return answerWithPage(pages, run, asMatrixFailure)
}

/** As `answerPage` for endpoints of the specification: that something is wrong with the request is said in JSON. */
export function answerUnlessRefused(
  pages: SignOnPages,
  run: () => Promise<SignOnAnswer>,
): Promise<HttpResponse> {
  return answerWithPage(pages, run, () => undefined)
}

/**
 * Where a browser has to come that asks under another name than the server's own, and would not bring back there what it
 * is given here to keep. Undefined where it has come to the right place, or was sent here already.
 */
export function canonicalUrl(
  request: Pick<RequestInfo, 'headers' | 'url' | 'userAgent'>,
  publicBaseUrl: string,
): string | undefined {
  const { host } = request.headers
  if (!isBrowser(request) || host === undefined || host === new URL(publicBaseUrl).host) return undefined
  const query = request.url.indexOf('?')
  // A proxy may give another name each time.
  if (query !== -1 && request.url.slice(query).includes(SENT_MARK)) return undefined
  return `${publicBaseUrl}${request.url.slice(1)}${query === -1 ? '?' : '&'}${SENT_MARK}`
}

const SENT_MARK = 'canonical=1'

async function answerWithPage(
  pages: SignOnPages,
  run: () => Promise<SignOnAnswer>,
  asOther: (error: unknown) => Failure | undefined,
): Promise<HttpResponse> {
  try {
    return toResponse(await run())
  } catch (error) {
    const failure = asSignOnFailure(error) ?? asOther(error)
    if (failure === undefined) throw error
    return toResponse(await pages.error(failure))
  }
}

function toResponse(answer: SignOnAnswer): HttpResponse {
  const headers = {
    ...HEADERS,
    ...(answer.cookie && { 'Set-Cookie': formatCookie(answer.cookie) }),
  }
  return answer.kind === 'page'
    ? html(answer.page, { status: answer.status, headers })
    : redirect(answer.location, 302, headers)
}

/** What the browser keeps of attempts to sign on. */
export function browserOf(
  request: Pick<RequestInfo, 'headers'>,
  signOn: Pick<SignOn, 'cookieName'>,
): string | undefined {
  return cookieOf(request, signOn.cookieName)
}

/**
 * Whether a browser asks, rather than a program that follows links. They say where they come from (Fetch Metadata), also
 * of what a page of somebody else has them fetch; and all of them, also older ones, have the same name.
 */
export function isBrowser({ headers, userAgent }: Pick<RequestInfo, 'headers' | 'userAgent'>): boolean {
  return headers['sec-fetch-site'] !== undefined || userAgent?.startsWith('Mozilla/') === true
}

export function cookieOf({ headers }: Pick<RequestInfo, 'headers'>, name: string): string | undefined {
  const { cookie } = headers
  const text = typeof cookie === 'object' ? cookie.join('; ') : (cookie ?? '')
  for (const pair of text.split(';')) {
    const equals = pair.indexOf('=')
    if (pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim()
  }
  return undefined
}

/** From where somebody begins to sign on, with the first value of each name of the query. */
export function requestOf(
  request: Pick<RequestInfo, 'headers' | 'ip' | 'url' | 'userAgent'>,
  signOn: Pick<SignOn, 'cookieName'>,
): SignOnRequest {
  const query = new Map<string, string>()
  const start = request.url.indexOf('?')
  for (const [name, value] of new URLSearchParams(start === -1 ? '' : request.url.slice(start + 1))) {
    if (!query.has(name)) query.set(name, value)
  }
  return {
    browser: browserOf(request, signOn),
    address: request.ip,
    isBrowser: isBrowser(request),
    query,
    action: actionOf(query),
  }
}

function actionOf(query: ReadonlyMap<string, string>): SignOnRequest['action'] {
  // Clients still send the name of the proposal (MSC3824).
  const action = query.get('action') ?? query.get('org.matrix.msc3824.action')
  // Whoever wants something that is not known wants to sign on at least.
  return action === 'login' || action === 'register' ? action : undefined
}

function formatCookie({ name, value, maxAgeMs, isCrossSite, isSecure }: SignOnCookie): string {
  const parts = [
    `${name}=${value}`,
    'Path=/',
    `Max-Age=${Math.floor(maxAgeMs / 1000)}`,
    'HttpOnly',
    // Browsers take None with Secure alone; without it, nothing comes along with forms of other sites.
    `SameSite=${isCrossSite && isSecure ? 'None' : 'Lax'}`,
  ]
  return [...parts, ...(isSecure ? ['Secure'] : [])].join('; ')
}

type Failure = Parameters<SignOnPages['error']>[0]

function asMatrixFailure(error: unknown): Failure | undefined {
  if (!(error instanceof MatrixError)) return undefined
  return { code: error.errcode, message: error.message, status: error.status }
}

/** By name, since this layer imports no classes of services. */
function asSignOnFailure(error: unknown): Failure | undefined {
  if (!(error instanceof Error) || error.name !== 'SignOnFailure') return undefined
  const { code, status } = error as Error & { code: string; status: number }
  return { code, message: error.message, status }
}
