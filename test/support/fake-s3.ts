import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** As much of S3 as a store of files needs: one page of a list is two keys, so that pages are turned. */
export class FakeS3 implements AsyncDisposable {
  readonly #server: Server
  /** By bucket and key. */
  readonly objects = new Map<string, { readonly content: Buffer; readonly modified: Date }>()
  /** Whether everything fails. */
  isDown = false

  private constructor(server: Server) {
    this.#server = server
  }

  static async start(): Promise<FakeS3> {
    // Longer than any test: a connection must not end just when it is used again.
    const server = createServer({ keepAliveTimeout: 120_000 })
    const s3 = new FakeS3(server)
    server.on('request', (request, response) => void s3.#answer(request, response))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return s3
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const url = new URL(request.url ?? '/', this.url)
    const key = decodeURIComponent(url.pathname.slice(1))
    const isSigned =
      request.headers.authorization?.startsWith('AWS4-HMAC-SHA256 Credential=an-id/') === true ||
      (request.method === 'GET' && isLink(url.searchParams))
    if (this.isDown || !isSigned) answerError(response, isSigned ? 503 : 403, 'AccessDenied')
    else if (url.searchParams.has('list-type')) this.#list(response, key.replace(/\/$/, ''), url.searchParams)
    else if (request.method === 'PUT') {
      this.objects.set(key, { content: Buffer.concat(chunks), modified: new Date() })
      response.writeHead(200, { ETag: '"x"' }).end()
    } else if (request.method === 'DELETE') {
      this.objects.delete(key)
      response.writeHead(204).end()
    } else this.#get(request, response, { key, query: url.searchParams })
  }

  #get(
    request: IncomingMessage,
    response: ServerResponse,
    { key, query }: { key: string; query: URLSearchParams },
  ): void {
    const object = this.objects.get(key)
    if (object === undefined) {
      answerError(response, 404, 'NoSuchKey')
      return
    }
    const { content, modified } = object
    const [, start, end] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []
    const part = start === undefined ? content : content.subarray(Number(start), Number(end) + 1)
    for (const name of ['Content-Type', 'Content-Disposition', 'Cache-Control']) {
      const wanted = query.get(`response-${name.toLowerCase()}`)
      if (wanted !== null) response.setHeader(name, wanted)
    }
    response.writeHead(start === undefined ? 200 : 206, {
      'Content-Length': part.length,
      'Last-Modified': modified.toUTCString(),
    })
    response.end(request.method === 'HEAD' ? undefined : part)
  }

  #list(response: ServerResponse, bucket: string, query: URLSearchParams): void {
    const prefix = `${bucket}/${query.get('prefix') ?? ''}`
    const after = query.get('continuation-token') ?? ''
    const keys = [...this.objects.keys()].filter((key) => key.startsWith(prefix) && key > after).sort()
    const page = keys.slice(0, 2)
    const contents = page.map((key) => {
      const { content, modified } = this.objects.get(key)!
      const name = key.slice(bucket.length + 1)
      return `<Contents><Key>${name}</Key><Size>${content.length}</Size><LastModified>${modified.toISOString()}</LastModified></Contents>`
    })
    const next = keys.length > 2 ? `<NextContinuationToken>${page[1]!}</NextContinuationToken>` : ''
    response.writeHead(200, { 'Content-Type': 'application/xml' })
    response.end(
      `<?xml version="1.0"?><ListBucketResult><IsTruncated>${keys.length > 2}</IsTruncated>${next}${contents.join('')}</ListBucketResult>`,
    )
  }
}

/** Whether it is signed, the unit test of links and the test with a real server say. */
function isLink(query: URLSearchParams): boolean {
  return query.get('X-Amz-Credential')?.startsWith('an-id/') === true && query.has('X-Amz-Signature')
}

function answerError(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { 'Content-Type': 'application/xml' })
  response.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>no</Message></Error>`)
}
