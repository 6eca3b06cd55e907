import { z } from 'zod'
import { HttpResponse, noContent, type ResponseHeaders } from '../../../http/responses.js'
import { route, type RequestInfo } from '../../../http/route.js'
import { forbidden, MatrixError, tooLarge, unrecognized } from '../../../protocol/errors.js'
import type { Rendezvous, RendezvousPayload } from '../../../services/devices/rendezvous.js'

const BY_URL = '/_matrix/client/unstable/org.matrix.msc4108/rendezvous'
const BY_ID = '/_matrix/client/unstable/io.element.msc4388/rendezvous'
const MAX_BYTES = 4096

/** https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/4388-secure-qr-channel.md */
export const discoverRendezvous = route({
  operationId: 'unstableDiscoverRendezvous',
  method: 'GET',
  path: BY_ID,
  auth: 'optionalUser',
  async handler({ requester }, { rendezvous }) {
    const { mode } = rendezvous.options
    if (mode === 'off') throw unrecognized()
    return Promise.resolve({ create_available: mode === 'open' || requester?.isGuest === false })
  },
})

/** https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/4388-secure-qr-channel.md */
export const createRendezvous = route({
  operationId: 'unstableCreateRendezvous',
  method: 'POST',
  path: BY_ID,
  auth: 'optionalUser',
  rateLimit: 'mediaCreate',
  body: z.looseObject({ data: z.string() }),
  async handler({ requester, body }, { rendezvous }) {
    const { mode } = rendezvous.options
    if (mode === 'off') throw unrecognized()
    if (mode === 'authenticated' && requester?.isGuest !== false) {
      throw forbidden('Only users of this server may begin a rendezvous session')
    }
    const session = rendezvous.create(body.data)
    return Promise.resolve({
      id: session.id,
      sequence_token: session.revision,
      expires_in_ms: session.expiresTs - session.changedTs,
    })
  },
})

/** https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/4388-secure-qr-channel.md */
export const readRendezvous = route({
  operationId: 'unstableReadRendezvous',
  method: 'GET',
  path: `${BY_ID}/:rendezvousId`,
  auth: 'none',
  async handler({ params, request }, { rendezvous }) {
    if (rendezvous.options.mode === 'off') throw unrecognized()
    refuseNavigation(request)
    const { data, revision, expiresInMs } = rendezvous.readNow(params.rendezvousId)
    return Promise.resolve({ data, sequence_token: revision, expires_in_ms: expiresInMs })
  },
})

/** https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/4388-secure-qr-channel.md */
export const writeRendezvous = route({
  operationId: 'unstableWriteRendezvous',
  method: 'PUT',
  path: `${BY_ID}/:rendezvousId/:txnId`,
  // Clients of an earlier draft leave the transaction out.
  aliases: [`${BY_ID}/:rendezvousId`],
  auth: 'none',
  body: z.looseObject({ sequence_token: z.string(), data: z.string() }),
  async handler({ params, body }, { rendezvous }) {
    if (rendezvous.options.mode === 'off') throw unrecognized()
    const input = {
      data: body.data,
      revision: body.sequence_token,
      txnId: params.txnId === '' ? undefined : params.txnId,
    }
    const written = writeOr(rendezvous, { id: params.rendezvousId, input }, (error) => {
      return new HttpResponse(409, {
        json: { errcode: 'IO_ELEMENT_MSC4388_CONCURRENT_WRITE', error: error.message },
      })
    })
    return Promise.resolve(written instanceof HttpResponse ? written : { sequence_token: written.revision })
  },
})

/** https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/4388-secure-qr-channel.md */
export const deleteRendezvous = route({
  operationId: 'unstableDeleteRendezvous',
  method: 'DELETE',
  path: `${BY_ID}/:rendezvousId`,
  auth: 'none',
  async handler({ params }, { rendezvous }) {
    if (rendezvous.options.mode === 'off') throw unrecognized()
    rendezvous.delete(params.rendezvousId)
    return Promise.resolve({})
  },
})

/** https://github.com/matrix-org/matrix-spec-proposals/pull/4108 */
export const createRendezvousByUrl = route({
  operationId: 'unstableCreateRendezvousByUrl',
  method: 'POST',
  path: BY_URL,
  auth: 'none',
  rateLimit: 'mediaCreate',
  async handler({ request }, { rendezvous }) {
    if (!rendezvous.options.isOpenByUrl) throw unrecognized()
    const session = rendezvous.create(await readText(request), contentTypeOf(request))
    const url = `${rendezvous.options.publicBaseUrl}${BY_URL.slice(1)}/${session.id}`
    return new HttpResponse(201, { json: { url } }, headersOf(session))
  },
})

/** https://github.com/matrix-org/matrix-spec-proposals/pull/4108 */
export const readRendezvousByUrl = route({
  operationId: 'unstableReadRendezvousByUrl',
  method: 'GET',
  path: `${BY_URL}/:rendezvousId`,
  auth: 'none',
  async handler({ params, request }, { rendezvous }) {
    if (!rendezvous.options.isOpenByUrl) throw unrecognized()
    refuseNavigation(request)
    const payload = rendezvous.read(params.rendezvousId)
    const headers = headersOf(payload)
    if (request.headers['if-none-match'] === headers['ETag']) {
      return Promise.resolve(new HttpResponse(304, undefined, headers))
    }
    const type = { ...headers, 'Content-Type': payload.contentType }
    return Promise.resolve(new HttpResponse(200, { text: payload.data }, type))
  },
})

/** https://github.com/matrix-org/matrix-spec-proposals/pull/4108 */
export const writeRendezvousByUrl = route({
  operationId: 'unstableWriteRendezvousByUrl',
  method: 'PUT',
  path: `${BY_URL}/:rendezvousId`,
  auth: 'none',
  async handler({ params, request }, { rendezvous }) {
    if (!rendezvous.options.isOpenByUrl) throw unrecognized()
    const expected = request.headers['if-match']
    if (typeof expected !== 'string') {
      throw new MatrixError('M_MISSING_PARAM', 'The header If-Match is missing')
    }
    const input = {
      data: await readText(request),
      revision: expected.replaceAll('"', ''),
      contentType: contentTypeOf(request),
    }
    const id = params.rendezvousId
    const written = writeOr(rendezvous, { id, input }, (error) => {
      const json = { ...changed(error.message), 'org.matrix.msc4108.errcode': 'M_CONCURRENT_WRITE' }
      return new HttpResponse(412, { json }, headersOf(rendezvous.read(id)))
    })
    return written instanceof HttpResponse ? written : new HttpResponse(202, undefined, headersOf(written))
  },
})

/** https://github.com/matrix-org/matrix-spec-proposals/pull/4108 */
export const deleteRendezvousByUrl = route({
  operationId: 'unstableDeleteRendezvousByUrl',
  method: 'DELETE',
  path: `${BY_URL}/:rendezvousId`,
  auth: 'none',
  async handler({ params }, { rendezvous }) {
    if (!rendezvous.options.isOpenByUrl) throw unrecognized()
    rendezvous.delete(params.rendezvousId)
    return Promise.resolve(noContent())
  },
})

function changed(message: string): { errcode: string; error: string } {
  return { errcode: 'M_UNKNOWN', error: message }
}

function writeOr(
  rendezvous: Rendezvous,
  { id, input }: { id: string; input: Parameters<Rendezvous['write']>[1] },
  onConflict: (error: Error) => HttpResponse,
): RendezvousPayload | HttpResponse {
  try {
    return rendezvous.write(id, input)
  } catch (error) {
    if (error instanceof Error && error.name === 'ConcurrentWriteError') return onConflict(error)
    throw error
  }
}

/** Strangers choose what is read here: a browser must not show it as a page. */
function refuseNavigation({ headers }: RequestInfo): void {
  if (headers['sec-fetch-mode'] === 'navigate' || headers['sec-fetch-dest'] === 'document') {
    throw forbidden('This is not a page')
  }
}

function headersOf({ revision, changedTs, expiresTs }: RendezvousPayload): ResponseHeaders {
  return {
    ETag: `"${revision}"`,
    Expires: new Date(expiresTs).toUTCString(),
    'Last-Modified': new Date(changedTs).toUTCString(),
    'Cache-Control': 'no-store, no-transform',
    Pragma: 'no-cache',
  }
}

/** Nothing that a browser would run. */
function contentTypeOf({ headers }: RequestInfo): string {
  const given = headers['content-type']?.toString().split(';')[0]?.trim().toLowerCase()
  return given === 'application/json' || given === 'application/octet-stream' ? given : 'text/plain'
}

async function readText({ stream }: RequestInfo): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_BYTES) throw tooLarge(`A rendezvous session holds at most ${MAX_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
