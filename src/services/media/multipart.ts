/** One part of a `multipart` body. Its content must be read, or left, before the next part is asked for. */
export interface MultipartPart {
  /** By lower-case name. */
  readonly headers: ReadonlyMap<string, string>
  readonly content: AsyncGenerator<Buffer>
}

/** A body that is no `multipart` as announced. */
export class MultipartError extends Error {
  override readonly name = 'MultipartError'
}

const MAX_HEAD_BYTES = 16 * 1024
const CRLF = Buffer.from('\r\n')
const HEAD_END = Buffer.from('\r\n\r\n')

/** The boundary in a content type such as `multipart/mixed; boundary=...`; undefined for other types. */
export function boundaryOf(contentType: string | undefined): string | undefined {
  const [, quoted, plain] =
    /^\s*multipart\/[a-z-]+\s*;(?:.*;)?\s*boundary=(?:"([^"]{1,200})"|([^\s";]{1,200}))/i.exec(
      contentType ?? '',
    ) ?? []
  return quoted ?? plain
}

/**
 * Takes a `multipart` body apart as it comes, piece by piece. Throws a `MultipartError` for what is none and for one
 * that ends early. https://www.rfc-editor.org/rfc/rfc2046#section-5.1
 */
export async function* readMultipart(
  body: AsyncIterable<Buffer>,
  boundary: string,
): AsyncGenerator<MultipartPart> {
  const source = new Source(body[Symbol.asyncIterator]())
  // What stands before the first boundary means nothing; the line break in front of it may be missing.
  source.prepend(CRLF)
  const delimiter = Buffer.from(`\r\n--${boundary}`)
  await drain(source.until(delimiter))
  while (!(await source.isLast())) {
    const head = await source.take(HEAD_END, MAX_HEAD_BYTES)
    const content = source.until(delimiter)
    yield { headers: parseHeaders(head), content }
    await drain(content)
  }
}

/** Bytes that come in pieces, of which some have been looked at and not yet used. */
class Source {
  readonly #pieces: AsyncIterator<Buffer>
  #rest: Buffer = Buffer.alloc(0)

  constructor(pieces: AsyncIterator<Buffer>) {
    this.#pieces = pieces
  }

  prepend(bytes: Buffer): void {
    this.#rest = Buffer.concat([bytes, this.#rest])
  }

  /** Everything up to a delimiter, which is used up too. */
  async *until(delimiter: Buffer): AsyncGenerator<Buffer> {
    for (;;) {
      const found = this.#rest.indexOf(delimiter)
      if (found !== -1) {
        const content = this.#rest.subarray(0, found)
        this.#rest = this.#rest.subarray(found + delimiter.length)
        if (content.length > 0) yield content
        return
      }
      // The last bytes may be the beginning of the delimiter.
      const certain = Math.max(0, this.#rest.length - delimiter.length + 1)
      const content = this.#rest.subarray(0, certain)
      this.#rest = this.#rest.subarray(certain)
      if (content.length > 0) yield content
      await this.#more()
    }
  }

  /** As `until`, at once. */
  async take(delimiter: Buffer, maxBytes: number): Promise<Buffer> {
    const pieces: Buffer[] = []
    let size = 0
    for await (const piece of this.until(delimiter)) {
      size += piece.length
      if (size > maxBytes) throw new MultipartError('The head of a part is too long')
      pieces.push(piece)
    }
    return Buffer.concat(pieces)
  }

  /** Whether the boundary that has just been read is the last; else what follows is the head of a part. */
  async isLast(): Promise<boolean> {
    while (this.#rest.length < 2) await this.#more()
    if (this.#rest.subarray(0, 2).toString('latin1') === '--') return true
    // Spaces may stand behind a boundary. The line break stays: with a head of no lines, it is all there is of it.
    while (!this.#rest.includes(CRLF)) {
      if (this.#rest.length > MAX_HEAD_BYTES)
        throw new MultipartError('A boundary is not followed by a line break')
      await this.#more()
    }
    this.#rest = this.#rest.subarray(this.#rest.indexOf(CRLF))
    return false
  }

  async #more(): Promise<void> {
    const next = await this.#pieces.next()
    if (next.done === true) throw new MultipartError('The body ends early')
    this.#rest = this.#rest.length === 0 ? next.value : Buffer.concat([this.#rest, next.value])
  }
}

async function drain(pieces: AsyncIterable<Buffer>): Promise<void> {
  for await (const _ of pieces) {
    // Nobody wants it.
  }
}

function parseHeaders(head: Buffer): Map<string, string> {
  const headers = new Map<string, string>()
  for (const line of head.toString('utf8').split('\r\n')) {
    const colon = line.indexOf(':')
    if (colon > 0) headers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim())
  }
  return headers
}
