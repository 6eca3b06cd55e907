import { hasOnlyIntegers } from '../protocol/canonical-json.js'
import { parseExactJson } from '../protocol/exact-json.js'
import type { ServerName } from '../protocol/ids.js'
import type { FederationGate } from '../services/remote/federation-gate.js'
import type { JsonValue } from '../util/json.js'
import type { BodyLease } from './body-budget.js'
import { DEFAULT_MAX_BODY_BYTES, parseJsonBody, readBody } from './body.js'
import type { HttpExchange } from './request-info.js'
import type { Route } from './route.js'

/** A request that another server has signed. */
export interface ServerRequest {
  readonly origin: ServerName
  /** The body as text; undefined where there is none. */
  readonly text: string | undefined
  readonly value: JsonValue | undefined
}

/** Methods whose body is signed; those of others are not read. */
const WITH_BODY: ReadonlySet<string> = new Set(['PUT', 'POST'])

/**
 * Reads a request of another server and finds out which one that is. The body comes first, since it is signed too.
 * Throws `M_UNAUTHORIZED` and `M_FORBIDDEN` of the gate, and what `readBody` and `parseJsonBody` throw.
 * @param lease what the body takes of the memory for all of them; the caller gives it back
 */
export async function authenticateServer(
  gate: FederationGate,
  { req }: HttpExchange,
  route: Pick<Route, 'maxBodyBytes' | 'maxBodyParts' | 'emptyBody' | 'allowNul'>,
  lease: BodyLease,
): Promise<ServerRequest> {
  const authorization = req.headersDistinct['authorization'] ?? []
  gate.check({ authorization })
  const method = req.method ?? 'GET'
  const uri = req.url ?? '/'
  if (!WITH_BODY.has(method)) {
    const origin = await gate.verify({ authorization, method, uri, content: undefined })
    return { origin, text: undefined, value: undefined }
  }
  const bytes = await readBody(
    { stream: req, headers: req.headers },
    route.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES,
    lease,
  )
  if (bytes.length === 0 && route.emptyBody === true) {
    const origin = await gate.verify({ authorization, method, uri, content: undefined })
    return { origin, text: '{}', value: {} }
  }
  const { text, value } = parseJsonBody(bytes, {
    emptyBody: false,
    allowNul: route.allowNul ?? false,
    maxParts: route.maxBodyParts,
    lease,
  })
  // Signed with the numbers that the other server has, which ours may have to round.
  const content = hasOnlyIntegers(text) && !HAS_LARGE_NUMBER.test(text) ? value : parseExactJson(text)
  return { origin: await gate.verify({ authorization, method, uri, content }), text, value }
}

/** Possibly beyond what JavaScript's own numbers hold exactly. */
const HAS_LARGE_NUMBER = /\d{16}/
