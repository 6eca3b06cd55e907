import { Readable } from 'node:stream'
import type { HttpClient } from '../../net/http-client.js'
import type { MediaId } from '../../storage/stores/media.js'
import type { FederationClient, FederationRequest } from '../remote/federation-client.js'
import { FederationError } from '../remote/federation-error.js'
import { boundaryOf, MultipartError, readMultipart, type MultipartPart } from './multipart.js'

/** A file of another server, as it comes. */
export interface RemoteFile {
  readonly contentType: string | undefined
  readonly contentDisposition: string | undefined
  readonly content: Readable
  /** To be called when nobody wants more of the content. */
  close(): void
}

export interface RemoteMediaLimits {
  /** How long the other server may wait for what has been announced there. */
  readonly timeoutMs: number
  readonly maxBytes: number
}

export interface RemoteMediaClientDependencies {
  readonly federation: Pick<FederationClient, 'requestStream'>
  /** For addresses to which servers redirect. */
  readonly http: Pick<HttpClient, 'requestStream'>
}

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: Readable
}

/** What surrounds a file in an answer. */
const MULTIPART_BYTES = 64 * 1024
/** Beside what the other server may wait: for the file itself. */
const TRANSFER_MS = 120_000
const MAX_REDIRECTS = 5

/** Asks other servers for files. https://spec.matrix.org/latest/server-server-api/#content-repository */
export class RemoteMediaClient {
  readonly #federation: Pick<FederationClient, 'requestStream'>
  readonly #http: Pick<HttpClient, 'requestStream'>

  constructor({ federation, http }: RemoteMediaClientDependencies) {
    this.#federation = federation
    this.#http = http
  }

  /**
   * By the endpoint for servers, or by the old one for everybody where the other server does not know that. Rejects
   * with a `FederationError`, a `HttpFailure` or a `MultipartError`.
   */
  async open(id: MediaId, limits: RemoteMediaLimits): Promise<RemoteFile> {
    try {
      const answer = await this.#federation.requestStream(requestOf(id, limits))
      const boundary = boundaryOf(textOf(answer.headers['content-type']))
      if (boundary !== undefined) return await this.#openParts(answer, boundary, limits)
      answer.body.destroy()
    } catch (error) {
      if (!isUnknownEndpoint(error)) throw error
    }
    return this.#openLegacy(id, limits)
  }

  /** The first part says nothing yet; the second is the file, or where it is. */
  async #openParts(answer: Answer, boundary: string, limits: RemoteMediaLimits): Promise<RemoteFile> {
    let part: MultipartPart
    try {
      part = await secondPart(answer.body, boundary)
    } catch (error) {
      answer.body.destroy()
      throw error
    }
    const location = part.headers.get('location')
    if (location === undefined) return fileOfPart(part, answer.body)
    answer.body.destroy()
    return this.#openElsewhere(location, limits)
  }

  async #openLegacy({ serverName, mediaId }: MediaId, limits: RemoteMediaLimits): Promise<RemoteFile> {
    const { timeoutMs, maxBytes } = limits
    const answer = await this.#federation.requestStream({
      destination: serverName,
      method: 'GET',
      path: `/_matrix/media/v3/download/${encodeURIComponent(serverName)}/${mediaId}`,
      query: { allow_remote: 'false', allow_redirect: 'true', timeout_ms: String(timeoutMs) },
      timeoutMs: timeoutMs + TRANSFER_MS,
      maxBytes,
    })
    if (answer.status < 300) return fileOf(answer)
    answer.body.destroy()
    const location = textOf(answer.headers['location'])
    if (location === undefined) throw new MultipartError('The answer is neither a file nor a redirect')
    return this.#openElsewhere(location, limits)
  }

  /** Without a signature: this may be anybody. */
  async #openElsewhere(url: string, { maxBytes }: RemoteMediaLimits): Promise<RemoteFile> {
    const answer = await this.#http.requestStream({
      method: 'GET',
      url,
      maxBytes,
      maxRedirects: MAX_REDIRECTS,
      timeoutMs: TRANSFER_MS,
    })
    if (answer.status === 200) return fileOf(answer)
    answer.body.destroy()
    throw new MultipartError(`The redirect leads to status ${answer.status}`)
  }
}

function requestOf(
  { serverName, mediaId }: MediaId,
  { timeoutMs, maxBytes }: RemoteMediaLimits,
): FederationRequest {
  return {
    destination: serverName,
    method: 'GET',
    path: `/_matrix/federation/v1/media/download/${mediaId}`,
    query: { timeout_ms: String(timeoutMs) },
    timeoutMs: timeoutMs + TRANSFER_MS,
    maxBytes: maxBytes + MULTIPART_BYTES,
  }
}

async function secondPart(body: Readable, boundary: string): Promise<MultipartPart> {
  const parts = readMultipart(body as AsyncIterable<Buffer>, boundary)
  const first = await parts.next()
  const second = first.done === true ? first : await parts.next()
  if (second.done === true) throw new MultipartError('The answer has not two parts')
  return second.value
}

function fileOfPart({ headers, content }: MultipartPart, body: Readable): RemoteFile {
  const stream = Readable.from(content)
  // Told to whoever reads; nobody may be reading any more.
  stream.on('error', () => undefined)
  return {
    contentType: headers.get('content-type'),
    contentDisposition: headers.get('content-disposition'),
    content: stream,
    close: () => {
      stream.destroy()
      body.destroy()
    },
  }
}

function fileOf({ headers, body }: Answer): RemoteFile {
  return {
    contentType: textOf(headers['content-type']),
    contentDisposition: textOf(headers['content-disposition']),
    content: body,
    close: () => body.destroy(),
  }
}

/** Servers of before say so in many ways; those that know the endpoint say what is wrong. */
function isUnknownEndpoint(error: unknown): boolean {
  if (!(error instanceof FederationError) || error.kind !== 'refused') return false
  const { status = 0, errcode, isUnsupported } = error
  return isUnsupported || (errcode === undefined && status >= 400 && status < 500 && status !== 429)
}

function textOf(header: string | string[] | undefined): string | undefined {
  return typeof header === 'object' ? header[0] : header
}
