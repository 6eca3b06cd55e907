import { compileGlob } from '../../util/glob.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../../util/json.js'

/** A site that describes its pages by oEmbed. https://oembed.com/ */
export interface OembedProvider {
  /** Where descriptions are; `{format}` stands for `json`. */
  readonly endpoint: string
  /** Globs of the URLs that it describes. */
  readonly schemes: readonly string[]
}

/** Sites whose pages say little to those who run nothing. */
export const DEFAULT_OEMBED_PROVIDERS: readonly OembedProvider[] = [
  {
    endpoint: 'https://www.youtube.com/oembed',
    schemes: [
      'https://*.youtube.com/watch*',
      'https://*.youtube.com/v/*',
      'https://*.youtube.com/shorts/*',
      'https://*.youtube.com/playlist*',
      'https://youtube.com/watch*',
      'https://youtube.com/shorts/*',
      'https://youtu.be/*',
    ],
  },
  {
    endpoint: 'https://publish.twitter.com/oembed',
    schemes: [
      'https://twitter.com/*/status/*',
      'https://*.twitter.com/*/status/*',
      'https://x.com/*/status/*',
      'https://*.x.com/*/status/*',
    ],
  },
  {
    endpoint: 'https://vimeo.com/api/oembed.{format}',
    schemes: ['https://vimeo.com/*', 'https://player.vimeo.com/video/*'],
  },
  { endpoint: 'https://open.spotify.com/oembed', schemes: ['https://open.spotify.com/*'] },
  { endpoint: 'https://soundcloud.com/oembed', schemes: ['https://soundcloud.com/*'] },
  { endpoint: 'https://www.tiktok.com/oembed', schemes: ['https://www.tiktok.com/*/video/*'] },
  { endpoint: 'https://www.reddit.com/oembed', schemes: ['https://*.reddit.com/r/*/comments/*'] },
  {
    endpoint: 'https://www.flickr.com/services/oembed/',
    schemes: ['https://*.flickr.com/photos/*', 'https://flic.kr/p/*'],
  },
]

/** Reads a list of providers as oembed.com publishes it. Throws for what is none. */
export function parseOembedProviders(json: JsonValue): OembedProvider[] {
  if (!Array.isArray(json)) throw new Error('not a list of providers')
  return json.flatMap((provider) => {
    const endpoints = isJsonObject(provider) ? provider['endpoints'] : undefined
    if (!Array.isArray(endpoints)) throw new Error('a provider has no endpoints')
    return endpoints.flatMap((endpoint) => {
      if (!isJsonObject(endpoint) || typeof endpoint['url'] !== 'string')
        throw new Error('an endpoint has no url')
      const schemes = Array.isArray(endpoint['schemes']) ? endpoint['schemes'].filter(isText) : []
      return schemes.length === 0 ? [] : [{ endpoint: endpoint['url'], schemes }]
    })
  })
}

/** Whether a URL is one of those that a scheme means. */
type SchemeMatcher = (page: URL) => boolean

const SCHEME = /^https?:\/\/([^/]+)(\/.*)?$/

/** Host and path apart: a `*` in the one must not reach into the other. Schemes that are none match nothing. */
function compileScheme(scheme: string): SchemeMatcher {
  const [, host, path = '/*'] = SCHEME.exec(scheme) ?? []
  if (host === undefined) return () => false
  const matchesHost = compileGlob(host, { ignoreCase: true })
  const matchesPath = compileGlob(path, { ignoreCase: true })
  return (page) => matchesHost(page.host) && matchesPath(`${page.pathname}${page.search}${page.hash}`)
}

/** Knows where descriptions of pages are. */
export class OembedProviders {
  readonly #matchers: readonly (readonly [SchemeMatcher, string])[]

  constructor(providers: readonly OembedProvider[]) {
    this.#matchers = providers.flatMap(({ endpoint, schemes }) =>
      schemes.map((scheme) => [compileScheme(scheme), endpoint] as const),
    )
  }

  /** The URL of a page's description; undefined where nobody gives one. */
  urlFor(page: URL): URL | undefined {
    const endpoint = this.#matchers.find(([matches]) => matches(page))?.[1].replace('{format}', 'json')
    if (endpoint === undefined || !URL.canParse(endpoint)) return undefined
    const url = new URL(endpoint)
    url.searchParams.set('url', page.href)
    url.searchParams.set('format', 'json')
    return url
  }
}

const MAX_TEXT_LENGTH = 1000
const VERSIONS: readonly JsonValue[] = ['1.0', '1', 1]

/** What a description says, by names of OpenGraph; undefined for what is no description. */
export function readOembed(json: JsonValue, pageUrl: string): Record<string, string> | undefined {
  if (!isJsonObject(json) || !VERSIONS.includes(json['version'] ?? '1.0')) return undefined
  const type = json['type']
  const properties: Record<string, string> = { 'og:url': pageUrl }
  const set = (name: string, value: string | undefined): void => {
    const text = value?.trim().slice(0, MAX_TEXT_LENGTH).toWellFormed() ?? ''
    if (text !== '') properties[name] = text
  }
  set('og:title', textOf(json, 'title') ?? textOf(json, 'author_name'))
  set('og:site_name', textOf(json, 'provider_name'))
  set('og:image', type === 'photo' ? textOf(json, 'url') : textOf(json, 'thumbnail_url'))
  if (type === 'rich') set('og:description', textOfHtml(textOf(json, 'html') ?? ''))
  if (type === 'video') set('og:type', 'video.other')
  return properties
}

function textOf(json: JsonObject, key: string): string | undefined {
  const value = json[key]
  return typeof value === 'string' && value !== '' ? value : undefined
}

const ENTITIES: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  '#39': "'",
  nbsp: ' ',
  mdash: '—',
}

/** What stands between the tags of a piece of HTML. It is shown as text alone. */
function textOfHtml(html: string): string {
  return html
    .slice(0, 20_000)
    .replace(/<(script|style)\b[^]*?<\/\1\s*>/gi, '')
    .replace(/<[^<>]*>/g, ' ')
    .replace(/&(#39|[a-z]+);/g, (entity, name: string) => ENTITIES[name] ?? entity)
    .replace(/\s+/g, ' ')
}

function isText(value: JsonValue): value is string {
  return typeof value === 'string'
}
