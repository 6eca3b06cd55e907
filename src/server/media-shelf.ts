import { join } from 'node:path'
import type { HomeserverConfig } from '../config/homeserver-config.js'
import type { MediaProvider } from '../config/sections/media.js'
import { INCOMING_DIRECTORY } from '../services/media/file-keys.js'
import { DirectoryStore, type FileStore } from '../services/media/file-store.js'
import { IncomingFiles } from '../services/media/incoming-files.js'
import { MediaCheck } from '../services/media/media-check.js'
import { MediaFiles, type FileProvider } from '../services/media/media-files.js'
import { MediaKeeper } from '../services/media/media-keeper.js'
import { S3Store, type S3Settings } from '../services/media/s3-store.js'
import type { Database } from '../storage/database.js'
import { MediaStore } from '../storage/stores/media.js'
import { MediaAdministrationStore, type MediaUse } from '../storage/stores/media-administration.js'
import { MediaThumbnailsStore } from '../storage/stores/media-thumbnails.js'
import type { Logger } from '../telemetry/logger.js'
import type { Clock } from '../util/clock.js'

export interface ShelfParts {
  readonly config: Pick<HomeserverConfig, 'media' | 'server'>
  readonly db: Database
  readonly clock: Clock
  readonly logger: Logger
}

/** What keeps files: the stores of rows and of content. */
export function createMediaShelf({ config: { media: options }, db, clock, logger }: ShelfParts) {
  const media = new MediaStore()
  const thumbnails = new MediaThumbnailsStore()
  const administration = new MediaAdministrationStore()
  const incoming = new IncomingFiles(join(options.storePath, INCOMING_DIRECTORY))
  const disk = new DirectoryStore(options.storePath)
  const providers = options.providers.map((provider) => createProvider(provider, clock))
  const files = new MediaFiles({
    disk,
    incoming,
    providers,
    keepsLocal: options.keepsLocal,
    clock,
    logger,
  })
  const keeper = new MediaKeeper({ db, media, thumbnails, files, incoming })
  return { db, clock, media, thumbnails, administration, incoming, disk, providers, files, keeper }
}

export type MediaShelf = ReturnType<typeof createMediaShelf>

/** How much is kept, for people. */
export interface MediaUsage {
  /** On disks: equal files once. */
  readonly stored: { readonly files: number; readonly bytes: number }
  readonly byKind: readonly MediaUse[]
  /** Those with most. */
  readonly byUser: readonly MediaUse[]
  readonly byServer: readonly MediaUse[]
}

/** What commands do with files, without a server. */
export function createMediaTools(parts: ShelfParts): {
  check: MediaCheck
  usage: (limit: number) => Promise<MediaUsage>
} {
  const shelf = createMediaShelf(parts)
  const { serverName } = parts.config.server
  return {
    check: new MediaCheck(shelf),
    usage: (limit) =>
      parts.db.read('media_usage', async (q) => ({
        stored: await shelf.administration.storedUse(q),
        byKind: await shelf.administration.useByKind(q, serverName),
        byUser: await shelf.administration.useByUser(q, limit),
        byServer: await shelf.administration.useByServer(q, { serverName, limit }),
      })),
  }
}

function createProvider(provider: MediaProvider, clock: Clock): FileProvider {
  const { storesLocal, storesRemote, isSynchronous } = provider
  return { store: createStore(provider, clock), storesLocal, storesRemote, isSynchronous }
}

function createStore({ kind, settings, links }: MediaProvider, clock: Clock): FileStore {
  return kind === 's3'
    ? new S3Store(s3Settings(settings, links), clock)
    : new DirectoryStore(String(settings['directory']))
}

/** By the names of Synapse's provider. */
function s3Settings(settings: MediaProvider['settings'], links: MediaProvider['links']): S3Settings {
  const text = (name: string): string | undefined => {
    const value = settings[name]
    return typeof value === 'string' && value !== '' ? value : undefined
  }
  const accessKeyId = text('access_key_id')
  const secretAccessKey = text('secret_access_key')
  return {
    bucket: text('bucket') ?? '',
    prefix: text('prefix') ?? '',
    region: text('region_name'),
    endpoint: text('endpoint_url'),
    storageClass: text('storage_class'),
    links,
    credentials:
      accessKeyId === undefined || secretAccessKey === undefined
        ? undefined
        : { accessKeyId, secretAccessKey, sessionToken: text('session_token') },
  }
}
