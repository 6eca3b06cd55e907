import type { BundledFile } from '../config/config-bundle.js'
import type { HomeserverConfig } from '../config/homeserver-config.js'
import { Backup, type BackupOptions, type BackupReport } from '../services/backup/backup.js'
import { MediaSource } from '../services/backup/media-source.js'
import type { RestorePlace } from '../services/backup/restore.js'
import type { Database } from '../storage/database.js'
import { RowLoader } from '../storage/dump/row-loader.js'
import type { Logger } from '../telemetry/logger.js'
import type { Clock } from '../util/clock.js'
import { createMediaShelf } from './media-shelf.js'
import { programVersion } from './program-version.js'

export { makeBackupKeys, publicKeyOf, createSealingStream } from '../services/backup/sealed-stream.js'
export { ArchiveReader } from '../services/backup/archive-reader.js'
export { ArchiveWriter } from '../services/backup/archive-writer.js'
export { manifestFirstLine, readEarlierMedia } from '../services/backup/earlier-media.js'
export { Restore, type RestoreReport } from '../services/backup/restore.js'
export { verifyArchive, type VerifyReport } from '../services/backup/verify.js'
export type { ArchiveHeader, ManifestEntry, MediaScope } from '../services/backup/archive-format.js'
export type { BackupReport }

export interface BackupParts {
  readonly config: HomeserverConfig
  readonly db: Database
  readonly clock: Clock
  readonly logger: Logger
}

/** The backup of the server with this configuration, which consists of these files. */
export function createBackup(
  parts: BackupParts & { readonly files: readonly BundledFile[] },
  options: BackupOptions,
): Backup {
  const { config, db, clock, files } = parts
  const dependencies = {
    db,
    clock,
    media: createMediaSource(parts),
    config: files,
    serverName: config.server.serverName,
    program: programVersion(),
  }
  return new Backup(dependencies, options)
}

/** Where the server with this configuration has its data. */
export function createRestorePlace(parts: BackupParts): RestorePlace {
  const { disk, incoming, administration } = createMediaShelf(parts)
  return {
    db: parts.db,
    openLoader: () => RowLoader.open(parts.config.database),
    disk,
    incoming,
    administration,
    media: createMediaSource(parts),
  }
}

function createMediaSource(parts: BackupParts): MediaSource {
  const { disk, providers, administration } = createMediaShelf(parts)
  const stores = [disk, ...providers.map(({ store }) => store)]
  return new MediaSource({ db: parts.db, administration, stores })
}
