import { section, type SectionContext } from '../section.js'
import {
  choice,
  duration,
  flag,
  group,
  httpUrl,
  integer,
  jsonObject,
  listOf,
  mapOf,
  optional,
  size,
  text,
  withDefault,
} from '../values.js'
import { ipRange, UNSPECIFIED } from './network.js'

const MIB = 1024 * 1024
const DAY_MS = 24 * 60 * 60_000

/** A size in which thumbnails are made, in pixels. */
export interface ThumbnailSetting {
  readonly width: number
  readonly height: number
  readonly method: 'crop' | 'scale'
}

const thumbnailSize = group({
  width: integer(1, 10_000),
  height: integer(1, 10_000),
  method: choice('crop', 'scale'),
})

const DEFAULT_THUMBNAILS: readonly ThumbnailSetting[] = [
  { width: 32, height: 32, method: 'crop' },
  { width: 96, height: 96, method: 'crop' },
  { width: 320, height: 240, method: 'scale' },
  { width: 640, height: 480, method: 'scale' },
  { width: 800, height: 600, method: 'scale' },
]

const storageProvider = group({
  module: text,
  store_local: withDefault(flag, false),
  store_remote: withDefault(flag, false),
  store_synchronous: withDefault(flag, false),
  config: withDefault(jsonObject, {}),
})

type RawProvider = ReturnType<(typeof storageProvider)['parse']>

/** Another place where files are kept, beside the disk. */
export interface MediaProvider {
  readonly kind: 'directory' | 's3'
  /** Which files it gets: those uploaded here, those of other servers. */
  readonly storesLocal: boolean
  readonly storesRemote: boolean
  /** An upload is answered when it has the file. */
  readonly isSynchronous: boolean
  /** The provider's own settings, as they stand in the file. */
  readonly settings: Readonly<Record<string, unknown>>
  /** Clients are sent to the bucket by links that are good for some time; undefined: never. */
  readonly links: { readonly endpoint: string | undefined; readonly lifetimeMs: number } | undefined
}

/** Files. */
export const media = section(
  {
    enable_media_repo: withDefault(flag, true),
    enable_authenticated_media: withDefault(flag, true),
    enable_local_media_storage: withDefault(flag, true),
    media_store_path: withDefault(text, 'media_store'),
    backup_media_store_path: optional(text),
    media_storage_providers: withDefault(listOf(storageProvider, 'a list of storage providers'), []),
    max_upload_size: withDefault(size, 50 * MIB),
    max_pending_media_uploads: withDefault(integer(), 5),
    unused_expiration_time: withDefault(duration, DAY_MS),
    media_upload_limits: withDefault(
      listOf(
        group({
          time_period: duration,
          max_size: size,
          info_uri: optional(text),
          can_upgrade: withDefault(flag, false),
        }),
        'a list of limits',
      ),
      [],
    ),
    max_image_pixels: withDefault(size, 32 * MIB),
    dynamic_thumbnails: withDefault(flag, false),
    thumbnail_sizes: withDefault(listOf(thumbnailSize, 'a list of sizes'), DEFAULT_THUMBNAILS),
    prevent_media_downloads_from: withDefault(listOf(text, 'a list of server names'), []),
    media_retention: group({
      local_media_lifetime: optional(duration),
      remote_media_lifetime: optional(duration),
    }),
    max_spider_size: withDefault(size, 10 * MIB),
    url_preview_enabled: withDefault(flag, false),
    url_preview_ip_range_blacklist: optional(listOf(ipRange, 'a list of IP ranges')),
    url_preview_ip_range_whitelist: withDefault(listOf(ipRange, 'a list of IP ranges'), []),
    url_preview_url_blacklist: withDefault(
      listOf(mapOf(text, 'a map of parts of URLs'), 'a list of maps of parts of URLs'),
      [],
    ),
    url_preview_accept_language: withDefault(listOf(text), ['en']),
    oembed: group({
      disable_default_providers: withDefault(flag, false),
      additional_providers: withDefault(listOf(text, 'a list of files'), []),
    }),
  },
  (raw, context) => ({
    enabled: raw.enable_media_repo,
    /** New files are shown only to those who say who they are. */
    requiresAuthentication: raw.enable_authenticated_media,
    /** False: the disk only passes files on to the other places. */
    keepsLocal: raw.enable_local_media_storage,
    storePath: raw.media_store_path,
    providers: [
      ...raw.media_storage_providers.flatMap((provider, index) => providerOf(provider, index, context)),
      ...backupOf(raw.backup_media_store_path),
    ],
    /** In bytes. */
    maxUploadSize: raw.max_upload_size,
    /** Files that a user may have announced and not yet uploaded. */
    maxPendingUploads: raw.max_pending_media_uploads,
    /** After which what was announced can no longer be uploaded. */
    unusedExpirationMs: raw.unused_expiration_time,
    /** How many bytes a user may upload within some time, and where they can read about it. */
    uploadLimits: raw.media_upload_limits.map((limit) => ({
      periodMs: limit.time_period,
      maxBytes: limit.max_size,
      infoUri: limit.info_uri,
      canUpgrade: limit.can_upgrade,
    })),
    /** Larger pictures have no thumbnails. */
    maxImagePixels: raw.max_image_pixels,
    /** Thumbnails are made in any size that is asked for, otherwise only in these. */
    dynamicThumbnails: raw.dynamic_thumbnails,
    thumbnailSizes: raw.thumbnail_sizes,
    /** Servers of which no files are fetched. */
    deniedServers: raw.prevent_media_downloads_from,
    /** After which files go that nobody has looked at; undefined: never. */
    localLifetimeMs: raw.media_retention.local_media_lifetime,
    remoteLifetimeMs: raw.media_retention.remote_media_lifetime,
    urlPreviews: {
      enabled: raw.url_preview_enabled,
      /** The largest page that is read, in bytes. */
      maxPageSize: raw.max_spider_size,
      /** In CIDR notation; undefined: those to which no request may go. */
      deniedRanges: raw.url_preview_ip_range_blacklist && [
        ...raw.url_preview_ip_range_blacklist,
        ...UNSPECIFIED,
      ],
      allowedRanges: raw.url_preview_ip_range_whitelist,
      /** A URL is not looked at when all parts of one of these match it: globs, or regular expressions after `^`. */
      deniedUrls: checkedUrls(raw.url_preview_url_blacklist, context),
      acceptLanguage: raw.url_preview_accept_language,
      oembed: {
        usesDefaultProviders: !raw.oembed.disable_default_providers,
        providerFiles: raw.oembed.additional_providers,
      },
    },
  }),
)

const DIRECTORY_MODULES: ReadonlySet<string> = new Set([
  'file_system',
  'directory',
  'synapse.rest.media.v1.storage_provider.FileStorageProviderBackend',
  'synapse.media.storage_provider.FileStorageProviderBackend',
])
const S3_MODULES: ReadonlySet<string> = new Set(['s3', 's3_storage_provider.S3StorageProviderBackend'])

function providerOf(raw: RawProvider, index: number, context: SectionContext): MediaProvider[] {
  const kind = DIRECTORY_MODULES.has(raw.module) ? 'directory' : S3_MODULES.has(raw.module) ? 's3' : undefined
  const path = ['media_storage_providers', index]
  if (kind === undefined) {
    context.fail([...path, 'module'], 'expected file_system or s3')
    return []
  }
  const needed = kind === 'directory' ? 'directory' : 'bucket'
  if (typeof raw.config[needed] !== 'string' || raw.config[needed] === '') {
    context.fail([...path, 'config', needed], 'expected a text')
    return []
  }
  return [
    {
      kind,
      storesLocal: raw.store_local,
      storesRemote: raw.store_remote,
      isSynchronous: raw.store_synchronous,
      settings: raw.config,
      links: kind === 's3' ? linksOf(raw.config, { path: [...path, 'config'], context }) : undefined,
    },
  ]
}

/** What signatures of S3 can say. */
const MAX_LINK_MS = 7 * DAY_MS
const DEFAULT_LINK_MS = 10 * 60_000

const signedLinks = {
  signed_links: withDefault(flag, false),
  signed_links_url: optional(httpUrl),
  signed_links_lifetime: withDefault(duration, DEFAULT_LINK_MS),
}

/** The settings of a bucket that no other server has. */
function linksOf(
  settings: Readonly<Record<string, unknown>>,
  { path, context }: { path: readonly (string | number)[]; context: SectionContext },
): MediaProvider['links'] {
  const parsed = group(signedLinks).safeParse(settings)
  if (!parsed.success) {
    for (const issue of parsed.error.issues) {
      context.fail([...path, ...(issue.path as string[])], `expected ${issue.message}`)
    }
    return undefined
  }
  const { signed_links, signed_links_url: endpoint, signed_links_lifetime: lifetimeMs } = parsed.data
  if (lifetimeMs < 1000 || lifetimeMs > MAX_LINK_MS) {
    context.fail([...path, 'signed_links_lifetime'], 'expected a duration from 1s to 7d')
  }
  return signed_links ? { endpoint, lifetimeMs } : undefined
}

const URL_PARTS: ReadonlySet<string> = new Set([
  'scheme',
  'netloc',
  'hostname',
  'port',
  'username',
  'password',
  'path',
  'query',
  'fragment',
])

function checkedUrls(
  entries: readonly Readonly<Record<string, string>>[],
  context: SectionContext,
): typeof entries {
  for (const [index, entry] of entries.entries()) {
    for (const [part, pattern] of Object.entries(entry)) {
      const path = ['url_preview_url_blacklist', index, part]
      if (!URL_PARTS.has(part))
        context.fail(path, `is no part of a URL: expected ${[...URL_PARTS].join(', ')}`)
      else if (pattern.startsWith('^') && !isExpression(pattern))
        context.fail(path, 'is no regular expression')
    }
  }
  return entries
}

function isExpression(pattern: string): boolean {
  try {
    return new RegExp(pattern, 'u').source !== ''
  } catch {
    return false
  }
}

/** The old name of a directory that gets everything at once. */
function backupOf(directory: string | undefined): MediaProvider[] {
  if (directory === undefined) return []
  const settings = { directory }
  return [
    {
      kind: 'directory',
      storesLocal: true,
      storesRemote: true,
      isSynchronous: true,
      settings,
      links: undefined,
    },
  ]
}
