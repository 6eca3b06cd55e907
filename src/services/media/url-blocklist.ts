import { compileGlob } from '../../util/glob.js'

/** Whether a URL must not be looked at. */
export type UrlBlocklist = (url: URL) => boolean

type Part = (url: URL) => string | undefined

const PARTS: Readonly<Record<string, Part | undefined>> = {
  scheme: ({ protocol }) => protocol.slice(0, -1),
  netloc: ({ username, password, host }) => {
    const credentials = password === '' ? username : `${username}:${password}`
    return credentials === '' ? host : `${credentials}@${host}`
  },
  hostname: ({ hostname }) => hostname.replace(/^\[|\]$/g, ''),
  port: ({ port }) => some(port),
  username: ({ username }) => some(username),
  password: ({ password }) => some(password),
  path: ({ pathname }) => pathname,
  query: ({ search }) => search.slice(1),
  fragment: ({ hash }) => hash.slice(1),
}

/**
 * A blocklist of maps from parts of URLs to patterns: globs, or regular expressions after `^`. A URL is on it when all
 * parts of one of the maps match. Throws for parts that are none and expressions that cannot be read.
 */
export function compileUrlBlocklist(entries: readonly Readonly<Record<string, string>>[]): UrlBlocklist {
  const compiled = entries.map((entry) =>
    Object.entries(entry).map(([name, pattern]) => compilePart(name, pattern)),
  )
  return (url) => compiled.some((parts) => parts.length > 0 && parts.every((matches) => matches(url)))
}

function compilePart(name: string, pattern: string): UrlBlocklist {
  const part = PARTS[name]
  if (part === undefined) throw new Error(`${name} is no part of a URL`)
  const matches = compilePattern(pattern)
  return (url) => {
    const value = part(url)
    return value !== undefined && matches(value)
  }
}

function compilePattern(pattern: string): (text: string) => boolean {
  if (!pattern.startsWith('^')) return compileGlob(pattern)
  const expression = new RegExp(pattern, 'u')
  return (text) => expression.test(text)
}

/** Nothing is no value: `*` does not match what is not there. */
function some(text: string): string | undefined {
  return text === '' ? undefined : text
}
