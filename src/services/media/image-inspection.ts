import { open } from 'node:fs/promises'
import type sharpOf from 'sharp'
import type { Metadata, Sharp } from 'sharp'
import type { ThumbnailSize } from '../../storage/stores/media-thumbnails.js'

/** What is done to a picture on the disk. */
export type ImageInspection =
  | { readonly kind: 'measure'; readonly path: string }
  | {
      readonly kind: 'thumbnail'
      readonly path: string
      readonly size: ThumbnailSize
      readonly maxPixels: number
    }

/** A picture as people see it, turned the right way up. */
export interface ImageFacts {
  readonly contentType: string
  readonly width: number
  readonly height: number
}

/**
 * What came of it. `original`: the picture is as small as was asked for. `tooLarge`: more pixels than are looked at.
 * `unusable`: no picture of a kind that is known here, or a broken one.
 */
export type ImageOutcome =
  | ({ readonly kind: 'measured' } & ImageFacts)
  | { readonly kind: 'original'; readonly contentType: string }
  | { readonly kind: 'made'; readonly contentType: string; readonly bytes: Buffer }
  | { readonly kind: 'tooLarge' }
  | { readonly kind: 'unusable'; readonly reason: string }

type SharpModule = typeof sharpOf

/** Raster formats only: what is drawn by a program, as SVG and PDF are, is never run. */
const LOADERS = ['JpegFile', 'PngFile', 'WebpFile', 'NsgifFile', 'HeifFile'].map(
  (name) => `VipsForeignLoad${name}`,
)
const QUALITY = 80
/** Further frames of an animation are left out. */
const MAX_FRAMES = 200

/** Loads the library and takes from it what strangers' files must not reach. */
async function loadSharp(): Promise<SharpModule> {
  const { default: sharp } = await import('sharp')
  sharp.block({ operation: ['VipsForeignLoad'] })
  sharp.unblock({ operation: LOADERS })
  sharp.cache(false)
  sharp.concurrency(1)
  return sharp
}

/** Never rejects for what is wrong with the picture. */
export async function inspectImage(job: ImageInspection): Promise<ImageOutcome> {
  const format = await sniffFormat(job.path)
  if (format === undefined) return { kind: 'unusable', reason: 'no picture of a known kind' }
  const sharp = await loadSharp()
  try {
    // Reads the head alone.
    const metadata = await sharp(job.path, { limitInputPixels: false, failOn: 'error' }).metadata()
    if (job.kind === 'measure') return { kind: 'measured', ...factsOf(metadata, format) }
    return await makeThumbnail(sharp, job, { metadata, format })
  } catch (error) {
    return { kind: 'unusable', reason: (error as Error).message }
  }
}

type Format = 'jpeg' | 'png' | 'gif' | 'webp' | 'avif'
type ThumbnailJob = Extract<ImageInspection, { kind: 'thumbnail' }>

interface Source {
  readonly metadata: Metadata
  readonly format: Format
}

async function makeThumbnail(
  sharp: SharpModule,
  { path, size, maxPixels }: ThumbnailJob,
  { metadata, format }: Source,
): Promise<ImageOutcome> {
  const { width, height } = factsOf(metadata, format)
  const framePixels = width * height
  if (framePixels > maxPixels) return { kind: 'tooLarge' }
  const frames = Math.min(metadata.pages ?? 1, MAX_FRAMES)
  const isAnimated = size.isAnimated && frames > 1 && framePixels * frames <= maxPixels
  const isSmall = width <= size.width && height <= size.height
  const moves = (metadata.pages ?? 1) > 1
  if (isSmall && format !== 'avif' && (isAnimated || !moves)) {
    return { kind: 'original', contentType: `image/${format}` }
  }
  const image = sharp(path, {
    limitInputPixels: maxPixels,
    failOn: 'error',
    sequentialRead: true,
    pages: isAnimated ? frames : 1,
  })
  const resized = resize(image.autoOrient(), { width, height }, size)
  const output = isAnimated ? 'webp' : outputFormat(format, metadata)
  return { kind: 'made', contentType: `image/${output}`, bytes: await encode(resized, output) }
}

/** `crop` fills the size, `scale` stays within it; neither makes anything larger than it is. */
function resize(image: Sharp, source: { width: number; height: number }, size: ThumbnailSize): Sharp {
  if (size.method === 'scale') {
    return image.resize({ width: size.width, height: size.height, fit: 'inside', withoutEnlargement: true })
  }
  return image.resize({
    width: Math.min(size.width, source.width),
    height: Math.min(size.height, source.height),
    fit: 'cover',
  })
}

/** PNG stays PNG, since it is drawings mostly; of the others those that can be seen through become PNG. */
function outputFormat(format: Format, { hasAlpha }: Metadata): 'png' | 'jpeg' {
  if (format === 'png' || format === 'gif') return 'png'
  return format !== 'jpeg' && hasAlpha ? 'png' : 'jpeg'
}

async function encode(image: Sharp, format: 'png' | 'jpeg' | 'webp'): Promise<Buffer> {
  if (format === 'png') return image.png().toBuffer()
  if (format === 'webp') return image.webp({ quality: QUALITY }).toBuffer()
  return image.flatten({ background: '#ffffff' }).jpeg({ quality: QUALITY }).toBuffer()
}

function factsOf(metadata: Metadata, format: Format): ImageFacts {
  const { width, height } = metadata.autoOrient
  return { contentType: `image/${format}`, width, height: metadata.pageHeight ?? height }
}

/** By the first bytes: what a file is called says nothing. */
async function sniffFormat(path: string): Promise<Format | undefined> {
  const handle = await open(path, 'r')
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(16), 0, 16, 0)
    return formatOf(buffer.subarray(0, bytesRead))
  } finally {
    await handle.close()
  }
}

const SIGNATURES: readonly (readonly [Format, RegExp])[] = [
  ['jpeg', /^\xff\xd8\xff/],
  ['png', /^\x89PNG\r\n\cZ\n/],
  ['gif', /^GIF8[79]a/],
  ['webp', /^RIFF[^]{4}WEBP/],
  ['avif', /^[^]{4}ftypavi[fs]/],
]

/** The kind of a picture by its first 16 bytes; undefined for all else. */
function formatOf(head: Buffer): Format | undefined {
  const text = head.toString('latin1')
  return SIGNATURES.find(([, signature]) => signature.test(text))?.[0]
}
