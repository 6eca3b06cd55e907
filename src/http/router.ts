import createFindMyWay from 'find-my-way'
import { invalidParam } from '../protocol/errors.js'
import type { TableEntry } from './route-table.js'

export type RawParams = Readonly<Record<string, string | undefined>>

export type RouteMatch =
  | { readonly kind: 'found'; readonly entry: TableEntry; readonly params: RawParams }
  /** Other methods are served at this path. */
  | { readonly kind: 'wrongMethod'; readonly allowed: readonly string[] }
  | { readonly kind: 'unknown' }

type Methods = Parameters<ReturnType<typeof createFindMyWay>['find']>[0]

const UNKNOWN: RouteMatch = { kind: 'unknown' }
/** Longer parameters make no route; what a path as a whole may hold is bounded by the size of a request's head. */
const MAX_PARAM_LENGTH = 16_384

/** Finds the route of a request. Parameters are percent-decoded; an empty one matches. */
export class Router {
  readonly #tree: ReturnType<typeof createFindMyWay>
  readonly #methods: readonly string[]

  constructor(entries: readonly TableEntry[]) {
    this.#tree = createFindMyWay({
      caseSensitive: true,
      ignoreTrailingSlash: false,
      maxParamLength: MAX_PARAM_LENGTH,
      // Queries are read elsewhere.
      querystringParser: () => undefined,
    })
    for (const entry of entries) this.#tree.on(entry.method, entry.path, unused, entry)
    this.#methods = [...new Set(entries.map((entry) => entry.method))]
  }

  /**
   * `path`: as sent, without the query. HEAD finds what answers GET. Throws `M_INVALID_PARAM` where it cannot be
   * decoded as UTF-8.
   */
  match(method: string, path: string): RouteMatch {
    const decodable = RAW_BYTES.test(path) ? encodeRawBytes(path) : path
    const found =
      this.#find(method, decodable) ?? (method === 'HEAD' ? this.#find('GET', decodable) : undefined)
    if (found !== undefined) return found
    // The tree does not say so of its own accord, since it looks for a handler.
    if (!isDecodable(decodable)) throw invalidParam('The path is not valid UTF-8 in percent-encoding')
    const allowed = this.#methods.filter(
      (other) => other !== method && this.#find(other, decodable) !== undefined,
    )
    return allowed.length > 0 ? { kind: 'wrongMethod', allowed } : UNKNOWN
  }

  #find(method: string, path: string): RouteMatch | undefined {
    // The tree asks for known methods by type only; for others it finds nothing.
    const found = this.#tree.find(method as Methods, path)
    if (found?.store === undefined) return undefined
    const entry = found.store as TableEntry
    return { kind: 'found', entry, params: found.params }
  }
}

function unused(): void {
  throw new Error('Routes are called by the pipeline')
}

/** Node gives bytes above 127, which have no place in a URL, as Latin-1. */
const RAW_BYTES = /[\x80-\xff]/

function encodeRawBytes(path: string): string {
  return path.replace(/[\x80-\xff]/g, (byte) => `%${byte.charCodeAt(0).toString(16)}`)
}

function isDecodable(path: string): boolean {
  try {
    decodeURIComponent(path)
    return true
  } catch {
    return false
  }
}
