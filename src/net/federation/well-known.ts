import { LRUCache } from 'lru-cache'
import { parseServerName, type ServerName } from '../../protocol/ids.js'
import type { Clock } from '../../util/clock.js'
import { isJsonObject } from '../../util/json.js'
import { upTo } from '../../util/lru-bounds.js'
import { SingleFlight } from '../../util/single-flight.js'
import type { HttpClient, HttpReply } from '../http-client.js'
import { toHttpFailure } from '../http-failure.js'

/** What `/.well-known/matrix/server` of a host says, if it says anything. */
export type WellKnownAnswer =
  | { readonly kind: 'delegated'; readonly server: ServerName }
  /** Nothing that counts: the server's own name does. `reason`: for the operator. */
  | { readonly kind: 'none'; readonly reason: string; readonly status?: number }

interface Remembered {
  readonly answer: WellKnownAnswer
  readonly until: number
}

const PATH = '/.well-known/matrix/server'
const TIMEOUT_MS = 10_000
const MAX_BYTES = 50 * 1024
const MAX_REDIRECTS = 5

const HOUR_MS = 60 * 60_000
/** Unless the answer says otherwise; it may say anything between. */
const DEFAULT_LIFETIME_MS = 24 * HOUR_MS
const MIN_LIFETIME_MS = 5 * 60_000
const MAX_LIFETIME_MS = 48 * HOUR_MS
/** What there is not, or not now, is asked for again sooner. */
const NOTHING_LIFETIME_MS = HOUR_MS
/** For hosts whose answer counted a while ago and now fail: they move rarely and are down often. */
const GRACE_MS = 24 * HOUR_MS
const RETRY_MS = 5 * 60_000
const MAX_ENTRIES = 10_000

/**
 * Delegation by `/.well-known/matrix/server`, remembered for as long as the answer allows. Whatever is wrong with an
 * answer, it counts as none. https://spec.matrix.org/latest/server-server-api/#resolving-server-names
 */
export class WellKnown {
  readonly #client: Pick<HttpClient, 'request'>
  readonly #clock: Pick<Clock, 'now'>
  readonly #answers = new LRUCache<string, Remembered>(upTo(MAX_ENTRIES))
  readonly #flights = new SingleFlight<WellKnownAnswer>()

  constructor(client: Pick<HttpClient, 'request'>, clock: Pick<Clock, 'now'>) {
    this.#client = client
    this.#clock = clock
  }

  /** What a host delegates to. `host`: a name without port. Never rejects. */
  async lookup(host: string): Promise<WellKnownAnswer> {
    const now = this.#clock.now()
    const known = this.#answers.get(host)
    if (known !== undefined && known.until > now) return known.answer
    const asked = this.#flights.run(host, () => this.#ask(host, known))
    // Of hosts that do not answer at all, which takes longest to find out, only the first waits.
    return known !== undefined && isOutage(known.answer) && known.until + GRACE_MS > now
      ? known.answer
      : asked
  }

  /** So that the next look-up asks. */
  forget(host: string): void {
    this.#answers.delete(host)
  }

  async #ask(host: string, previous: Remembered | undefined): Promise<WellKnownAnswer> {
    const { answer, lifetimeMs } = await this.#fetch(host)
    const now = this.#clock.now()
    if (isOutage(answer) && previous?.answer.kind === 'delegated' && previous.until + GRACE_MS > now) {
      return previous.answer
    }
    this.#answers.set(host, { answer, until: now + lifetimeMs })
    return answer
  }

  async #fetch(host: string): Promise<{ answer: WellKnownAnswer; lifetimeMs: number }> {
    try {
      const reply = await this.#client.request({
        method: 'GET',
        url: `https://${host}${PATH}`,
        timeoutMs: TIMEOUT_MS,
        maxBytes: MAX_BYTES,
        maxRedirects: MAX_REDIRECTS,
      })
      const answer = readAnswer(reply)
      if (answer.kind === 'delegated') return { answer, lifetimeMs: lifetimeOf(reply, this.#clock.now()) }
      const isTemporary = reply.status === 429 || reply.status >= 500
      return { answer, lifetimeMs: isTemporary ? RETRY_MS : NOTHING_LIFETIME_MS }
    } catch (error) {
      const answer = { kind: 'none', reason: toHttpFailure(error).message } as const
      return { answer, lifetimeMs: NOTHING_LIFETIME_MS }
    }
  }
}

/** Nobody answers, or somebody in front of nothing. */
function isOutage(answer: WellKnownAnswer): boolean {
  return answer.kind === 'none' && (answer.status === undefined || answer.status >= 500)
}

/** The body counts as JSON whatever its type is said to be. */
function readAnswer({ status, body }: HttpReply): WellKnownAnswer {
  if (status !== 200) return { kind: 'none', reason: `it answers with status ${status}`, status }
  const json = parse(body.toString('utf8'))
  if (!isJsonObject(json)) return { kind: 'none', reason: 'the answer is no JSON object', status }
  const named = json['m.server']
  if (typeof named !== 'string') return { kind: 'none', reason: 'm.server is missing', status }
  const server = parseServerName(named)
  if (server === undefined) return { kind: 'none', reason: 'm.server is no server name', status }
  return { kind: 'delegated', server }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** By `Cache-Control`, else by `Expires`. */
function lifetimeOf({ headers }: HttpReply, now: number): number {
  const control = headerText(headers['cache-control']).toLowerCase()
  if (/(?:^|[\s,])(?:no-store|no-cache)(?:$|[\s,=])/.test(control)) return MIN_LIFETIME_MS
  const maxAge = /(?:^|[\s,])max-age\s*=\s*"?(\d+)/.exec(control)?.[1]
  if (maxAge !== undefined) return bounded(Number(maxAge) * 1000)
  const expires = headerText(headers['expires'])
  if (expires === '') return DEFAULT_LIFETIME_MS
  const ts = Date.parse(expires)
  return Number.isNaN(ts) ? MIN_LIFETIME_MS : bounded(ts - now)
}

function headerText(value: string | string[] | undefined): string {
  return typeof value === 'object' ? value.join(',') : (value ?? '')
}

function bounded(ms: number): number {
  return Math.min(MAX_LIFETIME_MS, Math.max(MIN_LIFETIME_MS, ms))
}
