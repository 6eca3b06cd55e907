import { section } from '../section.js'
import { flag, size, text, withDefault } from '../values.js'

const MIB = 1024 * 1024

/** Files. */
export const media = section(
  {
    enable_media_repo: withDefault(flag, true),
    media_store_path: withDefault(text, 'media_store'),
    max_upload_size: withDefault(size, 50 * MIB),
  },
  (raw) => ({
    enabled: raw.enable_media_repo,
    storePath: raw.media_store_path,
    /** In bytes. */
    maxUploadSize: raw.max_upload_size,
  }),
)
