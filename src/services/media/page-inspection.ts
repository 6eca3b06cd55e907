import type { CheerioAPI } from 'cheerio'
import { readJsonLd } from './json-ld.js'

/** What is done to a page: HTML, of which the end may be missing. */
export interface PageInspection {
  readonly kind: 'page'
  readonly bytes: Buffer
  /** As the server says; the page itself may say otherwise. */
  readonly charset: string | undefined
  /** Where it was found, after redirects. */
  readonly url: string
}

/** What a page says of itself. */
export interface PageFacts {
  /** By names of OpenGraph: `og:title`, `og:description` and so on. `og:image` is an absolute URL. */
  readonly properties: Readonly<Record<string, string>>
  /** Where an oEmbed description of it is, if it says so. */
  readonly oembedUrl: string | undefined
}

/** More is not kept, of how many things a page says and how much of each. */
const MAX_PROPERTIES = 50
const MAX_NAME_LENGTH = 64
const MAX_TEXT_LENGTH = 1000
/** Enough to see what a page is about. */
const SUMMARY_LENGTH = 300
const MIN_PICTURE_PIXELS = 100

/**
 * Reads OpenGraph, Twitter cards and JSON-LD, in this order; where a page has none of them, its title, its description
 * and its first lines. Runs nothing that is in the page.
 */
export async function inspectPage({ bytes, charset, url }: PageInspection): Promise<PageFacts> {
  const { loadBuffer } = await import('cheerio')
  const $ = loadBuffer(bytes, {
    encoding: {
      defaultEncoding: 'utf-8',
      ...(charset === undefined ? {} : { transportLayerEncodingLabel: charset }),
    },
  })
  const openGraph = metaProperties($, 'og:')
  const twitter = metaProperties($, 'twitter:')
  const linked = readJsonLd(
    $('script[type="application/ld+json"]')
      .toArray()
      .slice(0, 10)
      .map((e) => $(e).text()),
  )
  const properties: Record<string, string> = { ...openGraph }
  const complete = (name: string, ...candidates: readonly (string | undefined)[]): void => {
    const text = candidates.map(cleanText).find((candidate) => candidate !== '')
    if (properties[name] === undefined && text !== undefined) properties[name] = text
  }
  complete('og:title', twitter['twitter:title'], linked.title, $('title').first().text(), headingOf($))
  const described = $('meta[name="description" i]').attr('content')
  complete('og:description', twitter['twitter:description'], linked.description, described, summaryOf($))
  complete('og:image', openGraph['og:image:url'], openGraph['og:image:secure_url'], twitter['twitter:image'])
  complete('og:image', twitter['twitter:image:src'], linked.image, pictureOf($))
  return { properties: withAbsoluteUrls(properties, baseOf($, url)), oembedUrl: oembedOf($, baseOf($, url)) }
}

function metaProperties($: CheerioAPI, prefix: string): Record<string, string> {
  const found: Record<string, string> = {}
  for (const element of $('meta').toArray()) {
    const name = ($(element).attr('property') ?? $(element).attr('name') ?? '').trim().toLowerCase()
    if (!name.startsWith(prefix) || name.length > MAX_NAME_LENGTH || Object.hasOwn(found, name)) continue
    const text = cleanText($(element).attr('content'))
    if (text !== '') found[name] = text
    if (Object.keys(found).length >= MAX_PROPERTIES) break
  }
  return found
}

function headingOf($: CheerioAPI): string | undefined {
  return $('h1, h2, h3').first().text()
}

const NO_PROSE =
  'header, nav, aside, footer, script, noscript, style, template, svg, iframe, video, canvas, picture, form, button'

/** The first lines of its text. */
function summaryOf($: CheerioAPI): string {
  const body = $('body').clone()
  body.find(NO_PROSE).remove()
  let summary = ''
  for (const element of body.find('p, li, blockquote, pre, div, td, h1, h2, h3, h4').toArray()) {
    // What holds other blocks is told by those.
    if ($(element).children('p, li, ul, ol, div, table, section, article').length > 0) continue
    const text = $(element).text().replace(/\s+/g, ' ').trim()
    if (text === '' || summary.includes(text)) continue
    summary += `${summary === '' ? '' : '\n\n'}${text}`
    if (summary.length >= SUMMARY_LENGTH) break
  }
  return cutAtWord(summary === '' ? body.text().replace(/\s+/g, ' ').trim() : summary, SUMMARY_LENGTH)
}

function cutAtWord(text: string, length: number): string {
  if (text.length <= length) return text
  const cut = text.slice(0, length)
  const space = cut.lastIndexOf(' ')
  return `${(space > length / 2 ? cut.slice(0, space) : cut).toWellFormed()}…`
}

/** A picture that the page is about, the largest that says how large it is, or the page's icon. */
function pictureOf($: CheerioAPI): string | undefined {
  const named = $('link[rel~="image_src" i]').attr('href') ?? $('meta[itemprop="image" i]').attr('content')
  if (named !== undefined) return named
  const sized = $('img[src][width][height]')
    .toArray()
    .map((element) => ({
      src: $(element).attr('src'),
      pixels: Number($(element).attr('width')) * Number($(element).attr('height')),
    }))
    .filter(({ pixels }) => pixels >= MIN_PICTURE_PIXELS * MIN_PICTURE_PIXELS)
    .sort((a, b) => b.pixels - a.pixels)
  return sized[0]?.src ?? $('img[src]').attr('src') ?? $('link[rel~="icon" i][href]').attr('href')
}

function oembedOf($: CheerioAPI, base: string): string | undefined {
  const href = $('link[rel~="alternate" i][type="application/json+oembed" i]').attr('href')
  return href === undefined ? undefined : absoluteUrl(href, base)
}

/** Where relative URLs of the page start. */
function baseOf($: CheerioAPI, url: string): string {
  const base = $('base[href]').attr('href')
  return (base === undefined ? undefined : absoluteUrl(base, url)) ?? url
}

function withAbsoluteUrls(properties: Record<string, string>, base: string): Record<string, string> {
  const { 'og:image': image, ...rest } = properties
  const absolute = image === undefined ? undefined : absoluteUrl(image, base)
  return absolute === undefined ? rest : { ...rest, 'og:image': absolute }
}

function absoluteUrl(href: string, base: string): string | undefined {
  if (!URL.canParse(href.trim(), base)) return undefined
  const { protocol, href: absolute } = new URL(href.trim(), base)
  return protocol === 'http:' || protocol === 'https:' ? absolute : undefined
}

/** All but those that are white space. */
const CONTROL_CHARACTERS = /(?![\t\n\r])\p{Cc}/gu

function cleanText(text: string | undefined): string {
  return (text ?? '').replace(CONTROL_CHARACTERS, '').trim().slice(0, MAX_TEXT_LENGTH).toWellFormed()
}
