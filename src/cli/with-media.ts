import type { createMediaTools } from '../server/media-shelf.js'
import { requireSchema, withDatabase } from './with-database.js'

export type MediaTools = ReturnType<typeof createMediaTools>

/**
 * Does something with the files of a configuration, by itself: the server need not run, and may. Throws a
 * `CommandFailure` when the database cannot be opened.
 */
export async function withMedia<T>(
  paths: readonly string[],
  work: (tools: MediaTools) => Promise<T>,
): Promise<T> {
  const [{ loadConfig }, { createMediaTools }, { silentLogger }, { systemClock }] = await Promise.all([
    import('../config/load.js'),
    import('../server/media-shelf.js'),
    import('../telemetry/logger.js'),
    import('../util/clock.js'),
  ])
  const { config } = await loadConfig(paths)
  return withDatabase(paths, async (db) => {
    await requireSchema(db)
    return work(createMediaTools({ config, db, clock: systemClock, logger: silentLogger() }))
  })
}
