import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { invalidParam, MatrixError, unrecognized } from '../../protocol/errors.js'
import type { Database } from '../../storage/database.js'
import type { UrlPreviewsStore } from '../../storage/stores/url-previews.js'
import type { Clock } from '../../util/clock.js'
import type { JsonObject, JsonValue } from '../../util/json.js'
import { Semaphore } from '../../util/semaphore.js'
import { SingleFlight } from '../../util/single-flight.js'
import type { Inspector } from './inspector.js'
import { readOembed, type OembedProviders } from './oembed.js'
import { toMatrixError, type FetchedResource, type PageFetcher } from './page-fetcher.js'
import type { PreviewPictures } from './preview-pictures.js'

export interface UrlPreviewsDependencies {
  readonly db: Database
  readonly previews: UrlPreviewsStore
  readonly clock: Pick<Clock, 'now'>
  readonly fetcher: PageFetcher
  readonly pictures: PreviewPictures
  readonly inspector: Pick<Inspector, 'page'>
  readonly oembed: OembedProviders
}

const MAX_URL_LENGTH = 4096
const ACCEPT_PAGE = 'text/html, application/xhtml+xml, image/*;q=0.8, */*;q=0.5'
const ACCEPT_JSON = 'application/json'
const PAGE_TYPES: ReadonlySet<string> = new Set(['text/html', 'application/xhtml+xml', ''])
/** What pages say of themselves stands at their beginning. */
const MAX_HTML_BYTES = 1024 * 1024
const MAX_JSON_BYTES = 256 * 1024
const MIN_LIFETIME_MS = 60 * 60_000
const MAX_LIFETIME_MS = 24 * 60 * 60_000
/** Pages at a time; the others wait. */
const CONCURRENCY = 8
/** After which what failed is tried again. */
const FAILURE_MS = 60_000
const MAX_FAILURES = 1000

interface Failure {
  readonly error: MatrixError
  readonly untilTs: number
}

interface Found {
  readonly preview: JsonObject
  readonly maxAgeMs: number | undefined
}

/** Tells what web pages are about. https://spec.matrix.org/latest/client-server-api/#get_matrixclientv1mediapreview_url */
export class UrlPreviews {
  readonly #deps: UrlPreviewsDependencies | undefined
  readonly #flights = new SingleFlight<JsonObject>()
  readonly #turns = new Semaphore(CONCURRENCY)
  readonly #failures = new LRUCache<string, Failure>({ max: MAX_FAILURES })

  /** Without dependencies, there are no previews. */
  constructor(deps: UrlPreviewsDependencies | undefined) {
    this.#deps = deps
  }

  /**
   * What a page says of itself, by names of OpenGraph, its picture as an `mxc:` URI; nothing for pages that say nothing.
   * Throws `M_INVALID_PARAM` for what is no URL of a page, `M_FORBIDDEN` for what must not be looked at, `M_UNKNOWN`
   * (502) for what cannot be reached, `M_UNRECOGNIZED` where there are no previews.
   */
  async preview(text: string): Promise<JsonObject> {
    const deps = this.#deps
    if (deps === undefined) throw unrecognized()
    const url = parsePageUrl(text)
    const key = createHash('sha256').update(url.href).digest('hex')
    const known = await deps.previews.get(deps.db.reader, key)
    if (known !== undefined && known.expiresTs > deps.clock.now()) return known.preview
    const failure = this.#failures.get(key)
    if (failure !== undefined && failure.untilTs > deps.clock.now()) throw failure.error
    return this.#flights.run(key, () => this.#turns.run(() => this.#findAndKeep(deps, url, key)))
  }

  async #findAndKeep(deps: UrlPreviewsDependencies, url: URL, key: string): Promise<JsonObject> {
    try {
      const { preview, maxAgeMs = MIN_LIFETIME_MS } = await find(deps, url)
      const now = deps.clock.now()
      const lifetimeMs = Math.min(Math.max(maxAgeMs, MIN_LIFETIME_MS), MAX_LIFETIME_MS)
      const record = { url: url.href, preview, fetchedTs: now, expiresTs: now + lifetimeMs }
      await deps.db.write('keep_url_preview', (tx) => deps.previews.put(tx, key, record))
      return preview
    } catch (error) {
      if (error instanceof MatrixError) {
        this.#failures.set(key, { error, untilTs: deps.clock.now() + FAILURE_MS })
      }
      throw error
    }
  }
}

async function find(deps: UrlPreviewsDependencies, url: URL): Promise<Found> {
  const oembedUrl = deps.oembed.urlFor(url)
  const described = oembedUrl === undefined ? undefined : await describe(deps, oembedUrl, url.href)
  if (described !== undefined) {
    return { preview: await withPicture(deps, described, url.href), maxAgeMs: undefined }
  }
  const resource = await deps.fetcher.fetch(url, ACCEPT_PAGE)
  const { contentType, maxAgeMs } = resource
  if (contentType.startsWith('image/'))
    return { preview: await ofPicture(deps, resource, url.href), maxAgeMs }
  if (!PAGE_TYPES.has(contentType)) {
    resource.body.destroy()
    return { preview: {}, maxAgeMs }
  }
  return { preview: await ofPage(deps, resource, url.href), maxAgeMs }
}

async function ofPage(
  deps: UrlPreviewsDependencies,
  page: FetchedResource,
  url: string,
): Promise<JsonObject> {
  const bytes = await readStart(page, MAX_HTML_BYTES)
  const facts = await deps.inspector.page({ kind: 'page', bytes, charset: page.charset, url: page.url })
  if (facts === undefined) return {}
  const { properties, oembedUrl } = facts
  const needsMore = oembedUrl !== undefined && properties['og:title'] === undefined
  const described = needsMore ? await describe(deps, new URL(oembedUrl), url) : undefined
  return withPicture(deps, { ...described, ...properties }, url)
}

async function ofPicture(
  deps: UrlPreviewsDependencies,
  resource: FetchedResource,
  url: string,
): Promise<JsonObject> {
  const picture = await deps.pictures.keep(resource, url)
  const name = decodeURIComponentLoosely(new URL(resource.url).pathname.split('/').at(-1) ?? '')
  return { ...(name === '' ? {} : { 'og:title': name }), ...picture }
}

/** In the place of the picture's URL, what is known of the picture; without it where it is none. */
async function withPicture(
  deps: UrlPreviewsDependencies,
  properties: Readonly<Record<string, string>>,
  url: string,
): Promise<JsonObject> {
  const { 'og:image': image, ...rest } = properties
  const others = Object.fromEntries(Object.entries(rest).filter(([name]) => !name.startsWith('og:image')))
  if (image === undefined) return others
  return { ...others, ...(await deps.pictures.fetch(image, url)) }
}

/** By oEmbed; undefined where that says nothing, whatever the reason. */
async function describe(
  deps: UrlPreviewsDependencies,
  oembedUrl: URL,
  pageUrl: string,
): Promise<Record<string, string> | undefined> {
  try {
    const resource = await deps.fetcher.fetch(oembedUrl, ACCEPT_JSON)
    const bytes = await readStart(resource, MAX_JSON_BYTES)
    return readOembed(JSON.parse(bytes.toString('utf8')) as JsonValue, pageUrl)
  } catch (error) {
    if (error instanceof MatrixError || error instanceof SyntaxError) return undefined
    throw error
  }
}

/** The first bytes of a body; the rest is not waited for. Throws `M_UNKNOWN` (502) when it breaks off. */
async function readStart({ body }: FetchedResource, maxBytes: number): Promise<Buffer> {
  const pieces: Buffer[] = []
  let size = 0
  try {
    for await (const piece of body as AsyncIterable<Buffer>) {
      pieces.push(piece)
      size += piece.length
      if (size >= maxBytes) break
    }
  } catch (error) {
    throw toMatrixError(error)
  } finally {
    body.destroy()
  }
  return Buffer.concat(pieces).subarray(0, maxBytes)
}

function parsePageUrl(text: string): URL {
  if (text.length > MAX_URL_LENGTH || !URL.canParse(text)) throw invalidParam('url is no URL')
  const url = new URL(text)
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw invalidParam('url is no URL of a web page')
  return url
}

function decodeURIComponentLoosely(text: string): string {
  try {
    return decodeURIComponent(text).toWellFormed().replaceAll('\u0000', '')
  } catch {
    return text
  }
}
