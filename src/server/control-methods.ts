import type { AccessLog } from '../http/access-log.js'
import { createDeferred } from '../util/deferred.js'
import type { JsonObject, JsonValue } from '../util/json.js'
import { createAdministrationMethods } from './administration-methods.js'
import type { ControlMethods } from './control-socket.js'
import { ControlError } from './control-connection.js'

export interface ControlMethodParts {
  readonly serverName: string
  /** As in `mxhs 1.2.3`. */
  readonly version: string
  /** How long the server has been running, in milliseconds. */
  readonly uptimeMs: () => number
  /** What SIGHUP does; gives what there is to warn of. Undefined where the server was started without files. */
  readonly reload: (() => Promise<readonly string[]>) | undefined
  /** What has been answered. */
  readonly requests: AccessLog
  readonly services: Parameters<typeof createAdministrationMethods>[0]
}

/** All that commands can ask of a running server, by name. */
export function createControlMethods(parts: ControlMethodParts): ControlMethods {
  const { serverName, version, uptimeMs, reload, requests, services } = parts
  return {
    ...createAdministrationMethods(services),

    /** Who answers: `{pid, serverName, version, uptimeMs}`. */
    ping: (): Promise<JsonObject> =>
      Promise.resolve({ pid: process.pid, serverName, version, uptimeMs: uptimeMs() }),

    /**
     * Waits for a request whose URL has `mark` in it, and tells how it came: `{ip, userAgent}`. Whoever asks makes the
     * request, to see what becomes of it on the way.
     */
    'requests.watch': ({ mark }, { signal }): Promise<JsonObject> => watchRequests(requests, mark, signal),

    /** Reads the configuration again: `{warnings}`, or an error that says what is wrong with it. */
    reload: async (): Promise<JsonObject> => {
      if (reload === undefined)
        throw new ControlError('no_files', 'The server has no configuration to read again')
      try {
        return { warnings: [...(await reload())] }
      } catch (error) {
        throw new ControlError('not_reloaded', (error as Error).message, { cause: error })
      }
    },
  }
}

const MIN_MARK_LENGTH = 16

async function watchRequests(
  requests: AccessLog,
  mark: JsonValue | undefined,
  signal: AbortSignal,
): Promise<JsonObject> {
  // So that nobody else's request has it.
  if (typeof mark !== 'string' || mark.length < MIN_MARK_LENGTH) {
    throw new ControlError('bad_request', `mark must be a text of at least ${MIN_MARK_LENGTH} characters`)
  }
  const found = createDeferred<JsonObject>()
  const end = requests.watch(({ url, ip, userAgent }) => {
    if (url.includes(mark)) found.resolve({ ip, userAgent: userAgent ?? null })
  })
  const give = (): void => found.reject(signal.reason as Error)
  signal.addEventListener('abort', give, { once: true })
  if (signal.aborted) give()
  try {
    return await found.promise
  } finally {
    end()
    signal.removeEventListener('abort', give)
  }
}
