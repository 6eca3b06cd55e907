import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import Koa from 'koa'
import type { ByteSource } from '../util/byte-source.js'
import { CORS_HEADERS } from './cors.js'
import { JsonEncoder } from './json-encoding.js'
import type { ListenerView, Pipeline } from './pipeline.js'
import type { HttpResponse } from './responses.js'
import { SourceSender } from './source-sender.js'

/** The application of one listener: one function for all routes, which hands the request to the pipeline. */
export function createKoaApp(pipeline: Pipeline, view: ListenerView): Koa {
  const app = new Koa()
  const sender = new SourceSender(pipeline.monotonicMs)
  const encoder = new JsonEncoder()
  app.use(async (ctx) => {
    const response = await pipeline.answer(ctx, view)
    if (ctx.res.destroyed) {
      abandon(ctx, response)
      return
    }
    write(ctx, response, encoder)
    if (view.compresses) await compress(ctx, response)
    if (pipeline.isStopping) ctx.set('Connection', 'close')
    if (response.body !== undefined && 'source' in response.body) {
      await sendSource(ctx, response.body.source, sender)
    }
  })
  // Only connections that break while an answer is sent end here: everything else has become an answer.
  app.on('error', () => undefined)
  return app
}

function write(ctx: Koa.Context, { status, headers, body }: HttpResponse, encoder: JsonEncoder): void {
  ctx.status = status
  ctx.set(CORS_HEADERS)
  if (body === undefined) ctx.body = status === 204 ? null : ''
  else if ('json' in body) {
    ctx.set('Content-Type', 'application/json')
    const encoded = encoder.encode(body.json)
    ctx.body = encoded
    if (typeof encoded !== 'string') {
      ctx.res.once('close', () => {
        encoder.sent(encoded)
      })
    }
  } else if ('text' in body) ctx.body = body.text
  else if ('bytes' in body) ctx.body = body.bytes
  else if ('stream' in body) ctx.body = body.stream
  else {
    ctx.body = ''
    ctx.length = body.source.length
  }
  // After the body, whose setter guesses a type and a length.
  ctx.set(headers)
}

const gzipAsync = promisify(gzip)
/** Shorter answers fit into one packet anyway. */
const MIN_COMPRESSED_LENGTH = 1400
const ACCEPTS_GZIP = /(?:^|,)\s*gzip\s*(?:,|$|;\s*q=(?!0(?:\.0*)?\s*(?:,|$)))/i

/** Packs text, for clients that want it. */
async function compress(ctx: Koa.Context, response: HttpResponse): Promise<void> {
  const { body } = response
  if (body === undefined || !('json' in body || 'text' in body)) return
  const content = ctx.body as string | Buffer
  if (content.length < MIN_COMPRESSED_LENGTH) return
  ctx.vary('Accept-Encoding')
  if (!ACCEPTS_GZIP.test(ctx.get('Accept-Encoding'))) return
  ctx.body = await gzipAsync(content)
  ctx.set('Content-Encoding', 'gzip')
}

/** Koa sends the head of what only the head is wanted of. */
async function sendSource(ctx: Koa.Context, source: ByteSource, sender: SourceSender): Promise<void> {
  if (ctx.method === 'HEAD') {
    await source.close()
    return
  }
  ctx.respond = false
  await sender.send(source, ctx.res)
}

/** There is nobody to answer any more. */
function abandon(ctx: Koa.Context, { body }: HttpResponse): void {
  ctx.respond = false
  if (body === undefined) return
  if ('stream' in body) body.stream.destroy()
  else if ('source' in body) void body.source.close().catch(() => undefined)
}
