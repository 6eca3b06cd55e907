import { MatrixError, PassedOnError, ERRCODES, type Errcode } from '../../protocol/errors.js'
import { parseServerName, serverNameOf, type RoomId, type ServerName } from '../../protocol/ids.js'
import { FederationError } from '../remote/federation-client.js'

/** More servers are not asked on behalf of one request. */
const MAX_SERVERS = 10

/**
 * The servers through which a room may be reached: those that were named, each once and not ourselves; where none is left,
 * the one in the room's ID.
 */
export function serversFor(
  roomId: RoomId,
  named: readonly string[],
  ourselves: ServerName,
): readonly ServerName[] {
  const others = (names: readonly string[]): ServerName[] => {
    const servers = new Set(names.flatMap((name) => parseServerName(name) ?? []))
    servers.delete(ourselves)
    return [...servers].slice(0, MAX_SERVERS)
  }
  const servers = others(named)
  return servers.length > 0 ? servers : others([serverNameOf(roomId)])
}

/**
 * Asks one server after the other until one helps. Rejects with the most telling of the reasons, as it may be shown to a
 * client: what forbids the thing itself before what only one server could not do.
 * @param ask rejects with a `FederationError`, or a `MatrixError` where the server's answer makes no sense; the latter
 *   with `M_INCOMPATIBLE_ROOM_VERSION` ends the search
 */
export async function firstThatHelps<T>(
  servers: readonly ServerName[],
  ask: (server: ServerName) => Promise<T>,
): Promise<T> {
  const failures: MatrixError[] = []
  for (const server of servers) {
    try {
      return await ask(server)
    } catch (error) {
      const failure = toClientError(error)
      if (failure.errcode === 'M_INCOMPATIBLE_ROOM_VERSION') throw failure
      failures.push(failure)
    }
  }
  const [first] = failures.sort((a, b) => weightOf(b) - weightOf(a))
  throw first ?? new MatrixError('M_NOT_FOUND', 'No known server is in the room')
}

/** What another server has answered makes no sense. */
export function badAnswer(message: string): MatrixError {
  return new MatrixError('M_CONNECTION_FAILED', message)
}

/** What a client is told of another server's refusal. Rethrows what is neither that nor an answer for clients. */
export function toClientError(error: unknown): MatrixError {
  if (error instanceof MatrixError) return error
  if (!(error instanceof FederationError)) throw error
  const refusal = refusalOf(error)
  if (refusal !== undefined) return refusal
  if (error.kind === 'unreachable' && /time/i.test(error.message)) {
    return new MatrixError('M_CONNECTION_TIMEOUT', error.message)
  }
  return new MatrixError('M_CONNECTION_FAILED', error.message)
}

/** The refusal itself, where it says something of the thing asked for. */
function refusalOf({ status, errcode, body, message }: FederationError): MatrixError | undefined {
  if (errcode === undefined) return undefined
  const said = body?.['error']
  const text = typeof said === 'string' ? said.slice(0, MAX_MESSAGE_LENGTH) : message
  const refused = status !== undefined && status >= 400 && status < 500 ? { status } : undefined
  if (isErrcode(errcode)) {
    if (OURS_TO_EXPLAIN.has(errcode)) return undefined
    const roomVersion = body?.['room_version']
    const fields = typeof roomVersion === 'string' ? { fields: { room_version: roomVersion } } : undefined
    return new MatrixError(errcode, text, { ...refused, ...fields })
  }
  // Clients would take a 401 for one of their own server.
  if (refused === undefined || refused.status === 401 || !/^[\w.-]{1,255}$/.test(errcode)) return undefined
  return new PassedOnError(errcode, text, refused)
}

const MAX_MESSAGE_LENGTH = 500

/** Errors that say something of our request rather than of the client's. */
const OURS_TO_EXPLAIN: ReadonlySet<string> = new Set([
  'M_BAD_JSON',
  'M_INVALID_PARAM',
  'M_MISSING_PARAM',
  'M_MISSING_TOKEN',
  'M_NOT_JSON',
  'M_UNAUTHORIZED',
  'M_UNKNOWN',
  'M_UNKNOWN_TOKEN',
  'M_UNRECOGNIZED',
])

function isErrcode(text: string): text is Errcode {
  return Object.hasOwn(ERRCODES, text)
}

function weightOf({ errcode, status }: MatrixError): number {
  if (errcode === 'M_FORBIDDEN') return 4
  if (errcode === 'M_UNABLE_TO_AUTHORISE_JOIN' || errcode === 'M_UNABLE_TO_GRANT_JOIN') return 3
  if (errcode === 'M_NOT_FOUND') return 1
  return status < 500 ? 2 : 0
}
