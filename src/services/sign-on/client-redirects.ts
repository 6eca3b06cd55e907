import { invalidParam, missingParam } from '../../protocol/errors.js'

const MAX_LENGTH = 4096
const TOKEN_PARAM = 'loginToken'
/** A link of these does something in the page where it stands, or shows what somebody else has written. */
const HARMFUL_SCHEMES: ReadonlySet<string> = new Set([
  'about:',
  'blob:',
  'data:',
  'file:',
  'filesystem:',
  'javascript:',
  'vbscript:',
  'view-source:',
])
/** What the parser of URLs takes away or puts elsewhere, so that people and programs may read the text in other ways. */
const MISLEADING = /[\s\\\p{Cc}\p{Cs}]/u

/**
 * A URL to which somebody is to be sent who has logged in. Throws `M_MISSING_PARAM`, `M_INVALID_PARAM` for what is none
 * or would run in the page itself.
 */
export function parseRedirectUrl(text: string | undefined): string {
  if (text === undefined || text === '') throw missingParam('redirectUrl')
  if (text.length > MAX_LENGTH || MISLEADING.test(text) || !URL.canParse(text)) {
    throw invalidParam('redirectUrl must be a URL')
  }
  const { protocol, username, password } = new URL(text)
  if (HARMFUL_SCHEMES.has(protocol)) throw invalidParam(`redirectUrl must not be a URL of ${protocol}`)
  // What stands before the @ looks like the host.
  if (isWeb(protocol) && (username !== '' || password !== '')) {
    throw invalidParam('redirectUrl must not name a user')
  }
  return text
}

/** The URL with a token in its query, all else as it was. Tokens that it names already are taken out. */
export function withLoginToken(redirectUrl: string, token: string): string {
  const hash = redirectUrl.indexOf('#')
  const fragment = hash === -1 ? '' : redirectUrl.slice(hash)
  const [base = '', ...queries] = redirectUrl.slice(0, redirectUrl.length - fragment.length).split('?')
  const params = queries
    .join('?')
    .split('&')
    .filter((param) => param !== '' && !new URLSearchParams(param).has(TOKEN_PARAM))
  return `${base}?${[...params, `${TOKEN_PARAM}=${encodeURIComponent(token)}`].join('&')}${fragment}`
}

/** As people are shown it who are to decide whether they trust it: the host of a site, the beginning of other URLs. */
export function displayUrl(redirectUrl: string): string {
  const { protocol, host } = new URL(redirectUrl)
  return protocol === 'https:' ? host : (redirectUrl.split(/[?#]/, 1)[0] ?? '')
}

/**
 * Whether the URL is that of a client that is trusted (`sso.client_whitelist`): equal to an entry, or below it. Entries
 * end where a part of the URL does, so that `https://good.example` is not `https://good.example.evil.example`.
 */
export function isTrustedClient(redirectUrl: string, trusted: readonly string[]): boolean {
  const url = new URL(redirectUrl)
  return trusted.some((entry) => isBelow(url, new URL(entry)))
}

function isBelow(url: URL, entry: URL): boolean {
  // Of schemes of applications, an entry may leave the host open.
  if (url.protocol !== entry.protocol || (entry.host !== '' && url.host !== entry.host)) return false
  // Compared as browsers go there: without `..`, and with the port only where it is none of the scheme's.
  const rest = afterPrefix(url.href, entry.href)
  return rest !== undefined && (rest === '' || /[:/?#=&]$/.test(entry.href) || /^[/?#]/.test(rest))
}

function afterPrefix(text: string, prefix: string): string | undefined {
  return text.startsWith(prefix) ? text.slice(prefix.length) : undefined
}

function isWeb(protocol: string): boolean {
  return protocol === 'http:' || protocol === 'https:'
}
