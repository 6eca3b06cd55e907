import { readFileSync } from 'node:fs'
import type { HttpClient } from '../net/http-client.js'
import type { ServerName } from '../protocol/ids.js'
import { AccessTimes } from '../services/media/access-times.js'
import { AvatarRules } from '../services/media/avatar-rules.js'
import { Inspector } from '../services/media/inspector.js'
import { MediaDeletion } from '../services/media/media-deletion.js'
import { MediaDownloads } from '../services/media/media-downloads.js'
import { MediaFinder } from '../services/media/media-finder.js'
import { MediaQuarantine } from '../services/media/media-quarantine.js'
import { MediaRetention } from '../services/media/media-retention.js'
import { MediaUploads } from '../services/media/media-uploads.js'
import { MediaUses } from '../services/media/media-uses.js'
import { DEFAULT_OEMBED_PROVIDERS, OembedProviders, parseOembedProviders } from '../services/media/oembed.js'
import { PageFetcher } from '../services/media/page-fetcher.js'
import { PendingUploads } from '../services/media/pending-uploads.js'
import { PreviewPictures } from '../services/media/preview-pictures.js'
import { RemoteMedia } from '../services/media/remote-media.js'
import { RemoteMediaClient } from '../services/media/remote-media-client.js'
import { Thumbnails } from '../services/media/thumbnails.js'
import { UploadLimits } from '../services/media/upload-limits.js'
import { compileUrlBlocklist } from '../services/media/url-blocklist.js'
import { UrlPreviews } from '../services/media/url-previews.js'
import type { Services } from '../services/services.js'
import { MediaUsesStore } from '../storage/stores/media-uses.js'
import { UrlPreviewsStore } from '../storage/stores/url-previews.js'
import type { JsonValue } from '../util/json.js'
import type { BackgroundWork } from './lifecycle.js'
import { createMediaShelf, type MediaShelf } from './media-shelf.js'
import type { RemoteServices } from './wire-remote.js'
import type { ServiceParts } from './wire-base.js'

const ACCESS_TIMES_MS = 60_000
const RETENTION_MS = 60 * 60_000

export type MediaParts = Pick<
  ServiceParts,
  'config' | 'storage' | 'clock' | 'logger' | 'rateLimits' | 'version'
> &
  Pick<RemoteServices, 'federationClient' | 'http' | 'createHttpClient'>

export type MediaServices = Pick<
  Services,
  'mediaDeletion' | 'mediaDownloads' | 'mediaQuarantine' | 'mediaUploads' | 'thumbnails' | 'urlPreviews'
>

/** The services of files, and what they do while nobody asks. */
export function createMediaServices(parts: MediaParts): {
  readonly services: MediaServices
  readonly avatarRules: AvatarRules
  readonly background: readonly BackgroundWork[]
} {
  const { config, clock } = parts
  const { serverName } = config.server
  const { requiresAuthentication } = config.media
  const shelf = createMediaShelf({ ...parts, db: parts.storage.db })
  const pending = new PendingUploads(clock)
  const accesses = new AccessTimes(shelf)
  const images = new Inspector(parts)
  const remote = createRemoteMedia(parts, shelf)
  const finder = new MediaFinder(
    { ...shelf, pending, accesses, remote },
    { serverName, requiresAuthentication },
  )
  const limits = new UploadLimits({
    ...shelf,
    maxUploadSize: config.media.maxUploadSize,
    limits: config.media.uploadLimits,
  })
  const quarantine = new MediaQuarantine(shelf)
  const uses = new MediaUses({ ...shelf, uses: new MediaUsesStore() })
  const deletion = new MediaDeletion({ ...shelf, uses, rooms: quarantine }, { serverName })
  const retention = new MediaRetention(
    { ...shelf, previews: new UrlPreviewsStore(), accesses, deletion },
    config.media,
  )
  const previews = createUrlPreviews(parts, { ...shelf, images })
  const { maxAvatarSize: maxBytes, allowedAvatarMimetypes: types } = config.rooms
  return {
    avatarRules: new AvatarRules(shelf, { maxBytes, types }),
    services: {
      mediaDeletion: deletion,
      mediaQuarantine: quarantine,
      mediaDownloads: new MediaDownloads({ ...shelf, finder }, { serverName }),
      mediaUploads: new MediaUploads(
        { ...shelf, pending, limits },
        {
          serverName,
          requiresAuthentication,
          maxPending: config.media.maxPendingUploads,
          unusedExpirationMs: config.media.unusedExpirationMs,
        },
      ),
      thumbnails: new Thumbnails(
        { ...shelf, finder, images },
        {
          serverName,
          sizes: config.media.thumbnailSizes,
          isDynamic: config.media.dynamicThumbnails,
          maxPixels: config.media.maxImagePixels,
        },
      ),
      urlPreviews: previews.urlPreviews,
    },
    background: [
      previews.background,
      {
        tasks: [
          { name: 'write_media_access_times', intervalMs: ACCESS_TIMES_MS, run: () => accesses.flush() },
          { name: 'expire_media', intervalMs: RETENTION_MS, run: (signal) => retention.run(signal) },
        ],
        async stop() {
          images.stop()
          await shelf.files.settle()
          await accesses.flush()
        },
      },
    ],
  }
}

function createRemoteMedia(
  { config: { media }, rateLimits, federationClient, http }: MediaParts,
  shelf: MediaShelf,
): RemoteMedia {
  return new RemoteMedia(
    { ...shelf, rateLimits, client: new RemoteMediaClient({ federation: federationClient, http }) },
    {
      deniedServers: new Set(media.deniedServers as readonly ServerName[]),
      maxBytes: media.maxUploadSize,
      requiresAuthentication: media.requiresAuthentication,
    },
  )
}

function createUrlPreviews(
  parts: MediaParts,
  shelf: MediaShelf & { images: Inspector },
): { urlPreviews: UrlPreviews; background: BackgroundWork } {
  const { config, createHttpClient } = parts
  const { urlPreviews: options, requiresAuthentication } = config.media
  if (!options.enabled) return { urlPreviews: new UrlPreviews(undefined), background: {} }
  const http = createHttpClient({
    deniedRanges: options.deniedRanges ?? config.network.deniedRanges,
    allowedRanges: options.allowedRanges,
  })
  const fetcher = createFetcher(parts, http)
  const inspector = new Inspector(parts)
  const pictures = new PreviewPictures(
    { ...shelf, fetcher },
    { serverName: config.server.serverName, maxBytes: options.maxPageSize, requiresAuthentication },
  )
  const oembed = new OembedProviders([
    ...options.oembed.providerFiles.flatMap(readProviders),
    ...(options.oembed.usesDefaultProviders ? DEFAULT_OEMBED_PROVIDERS : []),
  ])
  const previews = new UrlPreviewsStore()
  return {
    urlPreviews: new UrlPreviews({ ...shelf, previews, fetcher, pictures, inspector, oembed }),
    background: {
      async stop() {
        inspector.stop()
        await http.close()
      },
    },
  }
}

function createFetcher({ config, version }: MediaParts, http: HttpClient): PageFetcher {
  const { acceptLanguage, maxPageSize, deniedUrls } = config.media.urlPreviews
  return new PageFetcher(
    { http, isBlocked: compileUrlBlocklist(deniedUrls) },
    { acceptLanguage, maxBytes: maxPageSize, userAgent: `${version} (bot)` },
  )
}

/** A file that cannot be read or understood keeps the server from starting. */
function readProviders(path: string): ReturnType<typeof parseOembedProviders> {
  return parseOembedProviders(JSON.parse(readFileSync(path, 'utf8')) as JsonValue)
}
