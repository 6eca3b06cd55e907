import { Readable } from 'node:stream'
import { create } from 'content-disposition'
import { z } from 'zod'
import { file, NO_STORE, type HttpResponse } from '../../http/responses.js'
import { route, type RequestInfo } from '../../http/route.js'
import { JoinedSource, MemorySource } from '../../util/byte-source.js'
import { randomToken } from '../../util/random.js'
import type { Download } from '../../services/media/media-downloads.js'
import type { MediaAccess } from '../../services/media/media-finder.js'
import { contentDisposition, thumbnailParams, timeoutParam, wantedThumbnail } from '../client/media-files.js'

/** https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1mediadownloadmediaid */
export const getContent = route({
  operationId: 'federationGetContent',
  method: 'GET',
  path: '/_matrix/federation/v1/media/download/:mediaId',
  auth: 'federation',
  query: z.looseObject({ timeout_ms: timeoutParam }),
  async handler({ params, query, request }, { mediaDownloads }) {
    const access = accessOfServer(request, query.timeout_ms)
    const download = await mediaDownloads.downloadLocal(params.mediaId, access)
    return multipart(download, contentDisposition(download.contentType, download.fileName))
  },
})

/** https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1mediathumbnailmediaid */
export const getContentThumbnail = route({
  operationId: 'federationGetContentThumbnail',
  method: 'GET',
  path: '/_matrix/federation/v1/media/thumbnail/:mediaId',
  auth: 'federation',
  query: z.looseObject(thumbnailParams),
  async handler({ params, query, request }, { thumbnails }) {
    const access = accessOfServer(request, query.timeout_ms)
    const download = await thumbnails.thumbnailOfLocal(params.mediaId, wantedThumbnail(query), access)
    return multipart(download, create(download.fileName, { type: 'inline' }))
  },
})

/** Another server, which asks for what is here. */
function accessOfServer(request: RequestInfo, timeoutMs: number): MediaAccess {
  return { isAuthenticated: true, allowRemote: false, timeoutMs, signal: request.signal }
}

/** A part that says nothing yet, and the file, or where it is. */
async function multipart(download: Download, disposition: string): Promise<HttpResponse> {
  // Nobody can have written it into a file.
  const boundary = randomToken()
  const { contentType } = download
  const link = await download.link({ contentType, contentDisposition: disposition, cacheControl: NO_STORE })
  const about =
    link === undefined
      ? [`Content-Type: ${contentType}`, `Content-Disposition: ${disposition}`]
      : [`Location: ${link}`]
  const head = Buffer.from(
    [`--${boundary}`, 'Content-Type: application/json', '', '{}', `--${boundary}`, ...about, '', ''].join(
      '\r\n',
    ),
  )
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`)
  const content = link === undefined ? await download.open() : new MemorySource(Buffer.alloc(0))
  const body =
    content instanceof Readable
      ? joined(head, content, tail)
      : new JoinedSource([new MemorySource(head), content, new MemorySource(tail)])
  return file(body, {
    contentType: `multipart/mixed; boundary=${boundary}`,
    length: head.length + (link === undefined ? download.length : 0) + tail.length,
  })
}

/** Who goes away before the first byte is read would leave the content open. */
function joined(head: Buffer, content: Readable, tail: Buffer): Readable {
  const stream = Readable.from(inTurn(head, content, tail))
  return stream.once('close', () => content.destroy())
}

async function* inTurn(head: Buffer, content: Readable, tail: Buffer): AsyncGenerator<Buffer> {
  yield head
  for await (const piece of content as AsyncIterable<Buffer>) yield piece
  yield tail
}
