import { once } from 'node:events'
import { request, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import type { JsonObject } from '../../src/util/json.js'
import type { TestHomeserver } from './homeserver.js'
import type { MatrixClient } from './matrix-client.js'
import { checkResponse } from './response-schemas.js'

export interface BrowserPage {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  /** Where it is, or leads to. */
  readonly url: string
  /** Absolute; undefined where it leads nowhere. */
  readonly location: string | undefined
}

interface Cookie {
  readonly host: string
  readonly value: string
  readonly attributes: readonly string[]
}

/** Goes where links lead and keeps cookies, as a browser of somebody who signs on. */
export class Browser {
  readonly cookies = new Map<string, Cookie>()
  readonly #places: () => Readonly<Record<string, string>>
  readonly #headers: Readonly<Record<string, string>>

  /**
   * @param places where servers really are, by the origin under which they are known
   * @param headers what else is sent along: by default what browsers say of themselves
   */
  constructor(
    places: () => Readonly<Record<string, string>>,
    headers: Readonly<Record<string, string>> = {
      'Sec-Fetch-Site': 'cross-site',
      'Sec-Fetch-Mode': 'navigate',
    },
  ) {
    this.#places = places
    this.#headers = headers
  }

  /** One step: redirects are not followed. `form`: is sent to where its page is. */
  async go(url: string, form?: URLSearchParams): Promise<BrowserPage> {
    const { host, origin, pathname, search } = new URL(url)
    const place = this.#places()[origin] ?? origin
    const method = form === undefined ? 'GET' : 'POST'
    const cookie = [...this.cookies]
      .filter(([, kept]) => kept.host === host)
      .map(([name, { value }]) => `${name}=${value}`)
      .join('; ')
    const outgoing = request(`${place}${pathname}${search}`, {
      method,
      headers: {
        ...this.#headers,
        Host: host,
        ...(cookie !== '' && { Cookie: cookie }),
        ...(form !== undefined && { 'Content-Type': 'application/x-www-form-urlencoded' }),
      },
    })
    outgoing.end(form?.toString())
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
    for (const line of response.headers['set-cookie'] ?? []) this.#keep(host, line)
    const { location } = response.headers
    const body = await text(response)
    const status = response.statusCode ?? 0
    const contentType = response.headers['content-type'] ?? null
    // Of those alone that somebody answers for.
    if (place !== origin) checkResponse({ method, path: pathname, status, contentType, text: body })
    return {
      status,
      headers: response.headers,
      text: body,
      url,
      location: location === undefined ? undefined : new URL(location, url).href,
    }
  }

  /** Follows redirects until a page comes, or one leads to what begins with `until`. */
  async follow(
    url: string,
    { until, form }: { until?: string; form?: URLSearchParams } = {},
  ): Promise<BrowserPage> {
    let page = await this.go(url, form)
    for (let step = 0; page.location !== undefined && step < 10; step++) {
      if (until !== undefined && page.location.startsWith(until)) return page
      page = await this.go(page.location)
    }
    return page
  }

  #keep(host: string, line: string): void {
    const [pair = '', ...attributes] = line.split(';').map((part) => part.trim())
    const equals = pair.indexOf('=')
    const name = pair.slice(0, equals)
    const value = pair.slice(equals + 1)
    if (value === '') this.cookies.delete(name)
    else this.cookies.set(name, { host, value, attributes })
  }
}

/** Where the links of a page lead, as a browser reads them. */
export function linksOf(page: BrowserPage): string[] {
  return [...page.text.matchAll(/<a href="([^"]*)"/g)].map(
    ([, href = '']) => new URL(unescapeHtml(href), page.url).href,
  )
}

/** The text of HTML as `Templates` escape it. */
export function unescapeHtml(html: string): string {
  const characters: Readonly<Record<string, string>> = {
    '&amp;': '&',
    '&lt;': '<',
    '&gt;': '>',
    '&quot;': '"',
    '&#39;': "'",
    '&#96;': '`',
    '&#92;': '\\',
  }
  return html.replace(/&(?:amp|lt|gt|quot|#39|#96|#92);/g, (entity) => characters[entity] ?? entity)
}

/** Logs in with the token of the page's first link, as a client does to which the browser has come back. */
export async function logInFrom(
  hs: Pick<TestHomeserver, 'client'>,
  page: BrowserPage,
  more: JsonObject = {},
): Promise<MatrixClient> {
  const [link = ''] = linksOf(page)
  const body = { type: 'm.login.token', token: new URL(link).searchParams.get('loginToken'), ...more }
  const answer = await hs.client().must('POST', '/_matrix/client/v3/login', { body })
  return hs.client().withSession({
    userId: answer['user_id'] as string,
    deviceId: answer['device_id'] as string,
    accessToken: answer['access_token'] as string,
  })
}
