import type { HomeserverConfig } from '../config/homeserver-config.js'
import { CommandFailure } from './failures.js'

/**
 * Does something while no server of this configuration runs, and keeps one from starting meanwhile. Throws a
 * `CommandFailure` with `reason` when one runs.
 */
export async function withoutServer<T>(
  config: HomeserverConfig,
  reason: string,
  work: () => Promise<T>,
): Promise<T> {
  const [{ controlSocketPlace }, { openControlSocket, ServerRunsError }, { silentLogger }] =
    await Promise.all([
      import('../config/control-socket-path.js'),
      import('../server/control-socket.js'),
      import('../telemetry/logger.js'),
    ])
  const control = await openControlSocket(controlSocketPlace(config), silentLogger()).catch(
    (error: unknown) => {
      if (error instanceof ServerRunsError) throw new CommandFailure(reason, { cause: error })
      throw error
    },
  )
  try {
    return await work()
  } finally {
    await control?.close()
  }
}
