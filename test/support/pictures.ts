import { deflateSync } from 'node:zlib'

/** A picture of one colour, as its head says: `width` and `height` may be what nobody would unpack. */
export async function picture(
  format: 'png' | 'jpeg' | 'gif' | 'webp' | 'avif',
  width: number,
  height: number,
): Promise<Buffer> {
  const { default: sharp } = await import('sharp')
  const image = sharp({ create: { width, height, channels: 3, background: '#336699' } })
  return image[format]().toBuffer()
}

/** An animation of so many frames, as GIF or WebP. */
export async function animation(
  format: 'gif' | 'webp',
  { width, height, frames }: { width: number; height: number; frames: number },
): Promise<Buffer> {
  const { default: sharp } = await import('sharp')
  const pixels = Buffer.alloc(width * height * frames * 3)
  for (let frame = 0; frame < frames; frame++) {
    pixels.fill((frame * 40) % 256, frame * width * height * 3, (frame + 1) * width * height * 3)
  }
  const raw = { width, height: height * frames, channels: 3, pageHeight: height } as const
  return sharp(pixels, { raw })[format]().toBuffer()
}

/** What a picture is when it is unpacked. */
export async function measure(
  bytes: Buffer,
): Promise<{ format: string; width: number; height: number; frames: number }> {
  const { default: sharp } = await import('sharp')
  const { format, width, height, pageHeight, pages } = await sharp(bytes, { animated: true }).metadata()
  return { format, width, height: pageHeight ?? height, frames: pages ?? 1 }
}

/** A few kilobytes that say they are a huge PNG, all of one colour. */
export function pngBomb(width: number, height: number): Buffer {
  const head = Buffer.alloc(13)
  head.writeUInt32BE(width, 0)
  head.writeUInt32BE(height, 4)
  // One bit a pixel, grey.
  head.set([1, 0, 0, 0, 0], 8)
  const rows = Buffer.alloc(Math.ceil(width / 8) + 1)
  const data = deflateSync(Buffer.concat(Array.from({ length: Math.min(height, 2000) }, () => rows)))
  return Buffer.concat([
    Buffer.from('89504e470d0a1a0a', 'hex'),
    pngChunk('IHDR', head),
    pngChunk('IDAT', data),
    pngChunk('IEND', Buffer.alloc(0)),
  ])
}

/** A GIF that says that its frames are huge, and has very many of them. */
export function gifBomb(width: number, height: number, frames: number): Buffer {
  const screen = Buffer.alloc(7)
  screen.writeUInt16LE(width, 0)
  screen.writeUInt16LE(height, 2)
  screen[4] = 0x80
  const colours = Buffer.from([0, 0, 0, 255, 255, 255])
  const descriptor = Buffer.alloc(10)
  descriptor[0] = 0x2c
  descriptor.writeUInt16LE(width, 5)
  descriptor.writeUInt16LE(height, 7)
  // Begins and ends at once: the rest of the frame is left out.
  const frame = Buffer.concat([descriptor, Buffer.from([2, 2, 0x4c, 0x01, 0])])
  return Buffer.concat([
    Buffer.from('GIF89a'),
    screen,
    colours,
    ...Array.from({ length: frames }, () => frame),
    Buffer.from([0x3b]),
  ])
}

function pngChunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const length = Buffer.alloc(4)
  length.writeUInt32BE(data.length)
  const sum = Buffer.alloc(4)
  sum.writeUInt32BE(crc32(body))
  return Buffer.concat([length, body, sum])
}

function crc32(bytes: Buffer): number {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0)
  }
  return (crc ^ 0xffffffff) >>> 0
}
