import type { JsonObject } from '../util/json.js'
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
  readonly services: Parameters<typeof createAdministrationMethods>[0]
}

/** All that commands can ask of a running server, by name. */
export function createControlMethods(parts: ControlMethodParts): ControlMethods {
  const { serverName, version, uptimeMs, reload, services } = parts
  return {
    ...createAdministrationMethods(services),

    /** Who answers: `{pid, serverName, version, uptimeMs}`. */
    ping: (): Promise<JsonObject> =>
      Promise.resolve({ pid: process.pid, serverName, version, uptimeMs: uptimeMs() }),

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
