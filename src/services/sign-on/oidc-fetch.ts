import type { HttpClient, HttpHeaders, HttpMethod } from '../../net/http-client.js'

const TIMEOUT_MS = 20_000
/** Of documents and tokens that describe one person or one provider. */
const MAX_ANSWER_BYTES = 256 * 1024
/** Answers that have no body. */
const EMPTY: ReadonlySet<number> = new Set([204, 205, 304])

/** What libraries hand to a `fetch`. */
interface FetchOptions {
  readonly method?: string
  readonly headers?: ConstructorParameters<typeof Headers>[0] | undefined
  readonly body?: unknown
  readonly signal?: AbortSignal | undefined
}

export type OidcFetch = (url: string, options: FetchOptions) => Promise<Response>

/**
 * A `fetch` for libraries that goes out as everything else does: through the proxies that are configured, bounded in time
 * and size, without redirects. Rejects with a `HttpFailure`.
 */
export function createOidcFetch(http: Pick<HttpClient, 'request'>): OidcFetch {
  return async (url, { method = 'GET', headers, body, signal }) => {
    const sent = new Headers(headers)
    // This server says what it is, not the library.
    sent.delete('user-agent')
    const reply = await http.request({
      method: method as HttpMethod,
      url,
      headers: Object.fromEntries(sent),
      ...(isText(body) && { body: body.toString() }),
      timeoutMs: TIMEOUT_MS,
      maxBytes: MAX_ANSWER_BYTES,
      ...(signal && { signal }),
    })
    const bytes = EMPTY.has(reply.status) ? null : new Uint8Array(reply.body)
    return new Response(bytes, { status: reply.status, headers: headersOf(reply.headers) })
  }
}

function isText(body: unknown): body is string | URLSearchParams {
  return typeof body === 'string' || body instanceof URLSearchParams
}

function headersOf(received: HttpHeaders): Headers {
  const headers = new Headers()
  for (const [name, values] of Object.entries(received)) {
    for (const value of [values ?? []].flat()) headers.append(name, value)
  }
  return headers
}
