import { randomBytes } from 'node:crypto'
import type { Bench, Figures } from '../bench.js'
import { download, type Download } from '../download.js'
import { startNginx } from '../nginx.js'
import { inParallel } from '../statistics.js'

const MB = 1024 * 1024
const CHUNK = randomBytes(256 * 1024)
const ROUNDS = 12
const SAMPLE_MS = 100

/**
 * Uploads of large files, all at the same time, with the memory that the server takes meanwhile; then downloads of one
 * such file, and of the same from nginx in turns.
 */
export async function measureMedia(bench: Bench): Promise<Figures> {
  const { uploads, uploadMb } = bench.sizes
  const session = await bench.client.register(bench.name('media'))
  const title = `${uploads} parallel uploads of ${uploadMb} MB`
  const memory = new MemoryPeak(bench)
  const start = performance.now()
  await inParallel(uploads, uploads, async (index) => {
    await bench.client.upload(session.token, uploadMb * MB, fileChunks(uploadMb, index))
  })
  const seconds = (performance.now() - start) / 1000
  const peak = await memory.end()
  const figures: Figures = { [`${title}: MB/s`]: (uploads * uploadMb) / seconds }
  if (peak !== undefined) figures[`${title}: memory at most, MB`] = peak
  return { ...figures, ...(await measureDownloads(bench, session.token)) }
}

async function measureDownloads(bench: Bench, token: string): Promise<Figures> {
  const { uploadMb } = bench.sizes
  const { protocol, hostname, port } = new URL(bench.client.url)
  if (protocol !== 'http:') {
    bench.notes.push('media: downloads are only measured without TLS')
    return {}
  }
  const uri = await bench.client.upload(token, uploadMb * MB, fileChunks(uploadMb, -1))
  const own: Download = {
    host: hostname,
    port: Number(port || 80),
    path: `/_matrix/client/v1/media/download/${uri.slice('mxc://'.length)}`,
    token,
  }
  await using nginx = await startNginx()
  if (nginx === undefined) {
    bench.notes.push('media: downloads were not compared with nginx: install it or set MXHS_BENCH_NGINX')
  }
  const theirs = nginx && {
    host: '127.0.0.1',
    port: nginx.port,
    path: await nginx.serve('file', Buffer.concat([...fileChunks(uploadMb, -1)])),
  }
  const figures: Figures = {}
  for (const streams of [1, 8]) {
    const title = `download of ${uploadMb} MB, ${streams === 1 ? 'one' : streams} at a time`
    const rates = await compare([own, ...(theirs ? [theirs] : [])], streams)
    figures[`${title}: MB/s`] = rates[0]!
    if (rates[1] !== undefined) {
      figures[`${title}: MB/s of nginx`] = rates[1]
      figures[`${title}: share of nginx`] = rates[0]! / rates[1]
    }
  }
  return figures
}

/** MB a second of each, the median of rounds that they take in turns. */
async function compare(downloads: readonly Download[], streams: number): Promise<number[]> {
  const rates: number[][] = downloads.map(() => [])
  for (let round = 0; round < ROUNDS; round++) {
    for (const [index, target] of downloads.entries()) {
      const start = performance.now()
      const bytes = await Promise.all(Array.from({ length: streams }, () => download(target)))
      const total = bytes.reduce((sum, one) => sum + one, 0)
      // The first warms up.
      if (round > 0) rates[index]!.push(total / MB / ((performance.now() - start) / 1000))
    }
  }
  return rates.map((list) => list.sort((a, b) => a - b)[Math.floor(list.length / 2)]!)
}

/** A file that no other number gives, in pieces that need no memory. */
function* fileChunks(megabytes: number, number: number): Generator<Uint8Array> {
  const first = Buffer.from(CHUNK)
  first.writeInt32BE(number)
  yield first
  for (let sent = CHUNK.length; sent < megabytes * MB; sent += CHUNK.length) yield CHUNK
}

/** The most memory that is seen until the end. */
class MemoryPeak {
  readonly #bench: Bench
  readonly #timer: NodeJS.Timeout
  #peak: number | undefined

  constructor(bench: Bench) {
    this.#bench = bench
    this.#timer = setInterval(() => void this.#look(), SAMPLE_MS)
  }

  /** In MB; undefined where it cannot be seen. */
  async end(): Promise<number | undefined> {
    clearInterval(this.#timer)
    await this.#look()
    return this.#peak
  }

  async #look(): Promise<void> {
    const now = await this.#bench.view.residentMb?.()
    if (now !== undefined) this.#peak = Math.max(this.#peak ?? 0, now)
  }
}
