import { dirname, join, resolve } from 'node:path'
import type { HomeserverConfig } from './homeserver-config.js'

/** The name of the control socket in the data directory. */
export const CONTROL_SOCKET_NAME = 'mxhs.sock'

/** Where the running server listens for commands of the same machine. */
export interface ControlSocketPlace {
  /** Absolute. */
  readonly path: string
  /** Whether the operator has named it; what is only a default may be missing without harm. */
  readonly isChosen: boolean
  /** Whether the server makes the directory where it is missing, as it would for files. */
  readonly makesDirectory: boolean
}

/**
 * Where the control socket is: `control_socket`, or else `mxhs.sock` in the data directory, which is that of the SQLite
 * database, or `media_store_path` of a server on PostgreSQL (the one directory that each of them writes to). Undefined
 * where `control_socket: false` or a database in memory leave none.
 */
export function controlSocketPlace(
  config: Pick<HomeserverConfig, 'database' | 'media' | 'server'>,
): ControlSocketPlace | undefined {
  const { controlSocket } = config.server
  if (controlSocket === false) return undefined
  if (controlSocket !== undefined) return place(controlSocket, { isChosen: true })
  const { database, media } = config
  if (database.name === 'postgres') {
    return place(join(media.storePath, CONTROL_SOCKET_NAME), { makesDirectory: true })
  }
  if (database.path === ':memory:') return undefined
  return place(join(dirname(database.path), CONTROL_SOCKET_NAME))
}

function place(path: string, { isChosen = false, makesDirectory = false } = {}): ControlSocketPlace {
  return { path: resolve(path), isChosen, makesDirectory }
}
