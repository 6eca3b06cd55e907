import type { Query, Tx } from '../database.js'

/** What somebody wants of a thumbnail, in pixels. */
export interface ThumbnailSize {
  readonly width: number
  readonly height: number
  readonly method: 'crop' | 'scale'
  readonly isAnimated: boolean
}

/** A thumbnail that has been made. */
export interface ThumbnailRecord extends ThumbnailSize {
  /** Where it is in the stores. */
  readonly thumbnailKey: string
  readonly contentType: string
  /** In bytes. */
  readonly length: number
}

interface Row {
  width: number
  height: number
  method: string
  is_animated: number
  thumbnail_key: string
  content_type: string
  length: number
}

/** Thumbnails by the file that they were made of. */
export class MediaThumbnailsStore {
  /** All of a file: some ten at most, unless sizes are made as they are asked for. By primary key. */
  async list(q: Query, fileKey: string): Promise<ThumbnailRecord[]> {
    const rows = await q.all<Row>('SELECT * FROM media_thumbnails WHERE file_key = ?', [fileKey])
    return rows.map(toThumbnail)
  }

  /** Keeps thumbnails, in the place of those of the same sizes. */
  async put(tx: Tx, fileKey: string, thumbnails: readonly ThumbnailRecord[]): Promise<void> {
    const rows = thumbnails.map((thumbnail) => ({
      file_key: fileKey,
      width: thumbnail.width,
      height: thumbnail.height,
      method: thumbnail.method,
      is_animated: Number(thumbnail.isAnimated),
      thumbnail_key: thumbnail.thumbnailKey,
      content_type: thumbnail.contentType,
      length: thumbnail.length,
    }))
    await tx.insertMany('media_thumbnails', rows, {
      columns: {
        file_key: 'text',
        width: 'integer',
        height: 'integer',
        method: 'text',
        is_animated: 'integer',
        thumbnail_key: 'text',
        content_type: 'text',
        length: 'integer',
      },
      conflict: {
        key: ['file_key', 'width', 'height', 'method', 'is_animated'],
        update: ['thumbnail_key', 'content_type', 'length'],
      },
    })
  }

  /** Forgets those of these files and gives where they are in the stores. */
  async deleteOf(tx: Tx, fileKeys: readonly string[]): Promise<string[]> {
    if (fileKeys.length === 0) return []
    const rows = await tx.all<{ thumbnail_key: string }>(
      `DELETE FROM media_thumbnails WHERE ${tx.dialect.anyOf('file_key', 'text')} RETURNING thumbnail_key`,
      [tx.dialect.list(fileKeys)],
    )
    return rows.map((row) => row.thumbnail_key)
  }

  /** Those of these places in the stores that some row refers to. Index media_thumbnails_key. */
  async usedKeys(q: Query, thumbnailKeys: readonly string[]): Promise<Set<string>> {
    if (thumbnailKeys.length === 0) return new Set()
    const rows = await q.all<{ thumbnail_key: string }>(
      `SELECT thumbnail_key FROM media_thumbnails WHERE ${q.dialect.anyOf('thumbnail_key', 'text')}`,
      [q.dialect.list(thumbnailKeys)],
    )
    return new Set(rows.map((row) => row.thumbnail_key))
  }
}

function toThumbnail(row: Row): ThumbnailRecord {
  return {
    width: row.width,
    height: row.height,
    method: row.method === 'crop' ? 'crop' : 'scale',
    isAnimated: row.is_animated !== 0,
    thumbnailKey: row.thumbnail_key,
    contentType: row.content_type,
    length: row.length,
  }
}
