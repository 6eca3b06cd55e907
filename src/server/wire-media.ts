import { join } from 'node:path'
import type { HomeserverConfig } from '../config/homeserver-config.js'
import { AccessTimes } from '../services/media/access-times.js'
import { INCOMING_DIRECTORY } from '../services/media/file-keys.js'
import { DirectoryStore } from '../services/media/file-store.js'
import { ImageWorker } from '../services/media/image-worker.js'
import { IncomingFiles } from '../services/media/incoming-files.js'
import { MediaDownloads } from '../services/media/media-downloads.js'
import { MediaFiles } from '../services/media/media-files.js'
import { MediaFinder, noSuchMedia } from '../services/media/media-finder.js'
import { MediaKeeper } from '../services/media/media-keeper.js'
import { MediaUploads } from '../services/media/media-uploads.js'
import { PendingUploads } from '../services/media/pending-uploads.js'
import { Thumbnails } from '../services/media/thumbnails.js'
import { UploadLimits } from '../services/media/upload-limits.js'
import type { Services } from '../services/services.js'
import { MediaStore } from '../storage/stores/media.js'
import { MediaThumbnailsStore } from '../storage/stores/media-thumbnails.js'
import type { BackgroundWork } from './lifecycle.js'
import type { ServiceParts } from './wire-services.js'

const ACCESS_TIMES_MS = 60_000

export type MediaServices = Pick<Services, 'mediaDownloads' | 'mediaUploads' | 'thumbnails'>

/** The services of files, and what they do while nobody asks. */
export function createMediaServices(parts: Pick<ServiceParts, 'config' | 'storage' | 'clock' | 'logger'>): {
  services: MediaServices
  background: BackgroundWork
} {
  const { config, clock, logger, storage } = parts
  const { db } = storage
  const { serverName } = config.server
  const { requiresAuthentication } = config.media
  const media = new MediaStore()
  const thumbnailsStore = new MediaThumbnailsStore()
  const incoming = new IncomingFiles(join(config.media.storePath, INCOMING_DIRECTORY))
  const files = new MediaFiles({
    disk: new DirectoryStore(config.media.storePath),
    incoming,
    providers: [],
    keepsLocal: config.media.keepsLocal,
    logger,
  })
  const shared = { db, media, clock, incoming, files }
  const keeper = new MediaKeeper({ ...shared, thumbnails: thumbnailsStore })
  const pending = new PendingUploads(clock)
  const accesses = new AccessTimes({ db, media, clock })
  const images = new ImageWorker({ clock, logger })
  const finder = new MediaFinder(
    { ...shared, pending, accesses, remote: { fetch: () => Promise.reject(noSuchMedia()) } },
    { serverName, requiresAuthentication },
  )
  const services: MediaServices = {
    mediaDownloads: new MediaDownloads(finder, files),
    mediaUploads: new MediaUploads(
      { ...shared, keeper, pending, limits: createLimits(config, shared) },
      {
        serverName,
        requiresAuthentication,
        maxPending: config.media.maxPendingUploads,
        unusedExpirationMs: config.media.unusedExpirationMs,
      },
    ),
    thumbnails: new Thumbnails(
      { ...shared, thumbnails: thumbnailsStore, finder, keeper, images },
      {
        serverName,
        sizes: config.media.thumbnailSizes,
        isDynamic: config.media.dynamicThumbnails,
        maxPixels: config.media.maxImagePixels,
      },
    ),
  }
  return {
    services,
    background: {
      tasks: [{ name: 'write_media_access_times', intervalMs: ACCESS_TIMES_MS, run: () => accesses.flush() }],
      async stop() {
        images.stop()
        await files.settle()
        await accesses.flush()
      },
    },
  }
}

function createLimits(
  { media: { maxUploadSize, uploadLimits } }: HomeserverConfig,
  shared: Pick<ConstructorParameters<typeof UploadLimits>[0], 'db' | 'media' | 'clock'>,
): UploadLimits {
  return new UploadLimits({ ...shared, maxUploadSize, limits: uploadLimits })
}
