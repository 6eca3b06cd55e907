import type { Readable } from 'node:stream'
import { HttpFailure } from '../../net/http-failure.js'
import type { HttpClient, HttpStreamReply } from '../../net/http-client.js'
import { forbidden, MatrixError } from '../../protocol/errors.js'
import type { UrlBlocklist } from './url-blocklist.js'

/** What was found at a URL. Whoever does not read the body to its end destroys it. */
export interface FetchedResource {
  /** Where it was found, after redirects. */
  readonly url: string
  /** In lower case, without parameters; empty where there is none. */
  readonly contentType: string
  readonly charset: string | undefined
  /** How long it stays as it is, as far as the server says; in milliseconds. */
  readonly maxAgeMs: number | undefined
  readonly body: Readable
}

export interface PageFetcherDependencies {
  readonly http: Pick<HttpClient, 'requestStream'>
  readonly isBlocked: UrlBlocklist
}

export interface PageFetcherOptions {
  readonly acceptLanguage: readonly string[]
  /** Larger ones are given up. */
  readonly maxBytes: number
  readonly userAgent: string
}

const MAX_REDIRECTS = 8
const TIMEOUT_MS = 20_000
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

/** Fetches what strangers name. Every step on the way is held against the lists of addresses and of URLs. */
export class PageFetcher {
  readonly #deps: PageFetcherDependencies
  readonly #options: PageFetcherOptions
  readonly #headers: Readonly<Record<string, string>>

  constructor(deps: PageFetcherDependencies, options: PageFetcherOptions) {
    this.#deps = deps
    this.#options = options
    this.#headers = {
      'User-Agent': options.userAgent,
      'Accept-Language': options.acceptLanguage.join(', '),
    }
  }

  /** Throws `M_FORBIDDEN` for what must not be fetched, `M_UNKNOWN` (502) for what cannot be. */
  async fetch(start: URL, accept: string): Promise<FetchedResource> {
    let url = start
    for (let step = 0; step <= MAX_REDIRECTS; step++) {
      this.#check(url)
      const reply = await this.#request(url, accept)
      const location = textOf(reply.headers['location'])
      if (!REDIRECTS.has(reply.status) || location === undefined) return toResource(url, reply)
      reply.body.destroy()
      if (!URL.canParse(location, url.href)) throw cannotFetch('it redirects to nowhere')
      url = new URL(location, url)
    }
    throw cannotFetch('it redirects too often')
  }

  #check(url: URL): void {
    if (url.protocol !== 'http:' && url.protocol !== 'https:') throw forbidden('Only web pages have previews')
    if (this.#deps.isBlocked(url)) throw forbidden('The configuration forbids previews of this URL')
  }

  async #request(url: URL, accept: string): Promise<HttpStreamReply> {
    try {
      return await this.#deps.http.requestStream({
        method: 'GET',
        url: withoutFragment(url),
        headers: { ...this.#headers, Accept: accept },
        maxBytes: this.#options.maxBytes,
        timeoutMs: TIMEOUT_MS,
      })
    } catch (error) {
      throw toMatrixError(error)
    }
  }
}

function toResource(url: URL, { status, headers, body }: HttpStreamReply): FetchedResource {
  if (status < 200 || status > 299) {
    body.destroy()
    throw cannotFetch(`it answers with status ${status}`)
  }
  const type = textOf(headers['content-type']) ?? ''
  return {
    url: url.href,
    contentType: (type.split(';', 1)[0] ?? '').trim().toLowerCase(),
    charset: /;\s*charset=["']?([\w.:-]{1,40})/i.exec(type)?.[1],
    maxAgeMs: maxAgeOf(textOf(headers['cache-control'])),
    body,
  }
}

function maxAgeOf(cacheControl: string | undefined): number | undefined {
  if (cacheControl === undefined) return undefined
  if (/\bno-(?:store|cache)\b/i.test(cacheControl)) return 0
  const seconds = /\bmax-age=(\d{1,9})/i.exec(cacheControl)?.[1]
  return seconds === undefined ? undefined : Number(seconds) * 1000
}

/** Credentials in a URL are sent to nobody. */
function withoutFragment(url: URL): string {
  const bare = new URL(url)
  bare.hash = ''
  bare.username = ''
  bare.password = ''
  return bare.href
}

/** What an error of a request means to whoever wants a preview. */
export function toMatrixError(error: unknown): unknown {
  if (!(error instanceof HttpFailure)) return error
  if (error.kind === 'denied') return forbidden('The configuration forbids requests to this address')
  if (error.kind === 'tooLarge') return cannotFetch('it is too large')
  return cannotFetch(error.kind === 'timeout' ? 'it takes too long' : 'it cannot be reached')
}

function cannotFetch(reason: string): MatrixError {
  return new MatrixError('M_UNKNOWN', `The page has no preview: ${reason}`, { status: 502 })
}

function textOf(header: string | string[] | undefined): string | undefined {
  return typeof header === 'object' ? header[0] : header
}
