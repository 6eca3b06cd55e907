import { request as requestHttp, type IncomingMessage } from 'node:http'
import { request as requestHttps } from 'node:https'
import type { Clock } from '../../util/clock.js'
import type { TlsSettings } from '../dialer.js'
import { toHttpFailure } from '../http-failure.js'

/** An upload that is only tried. */
export interface UploadProbe {
  readonly url: string
  /** What it is said to have, in bytes. */
  readonly length: number
  readonly tls: TlsSettings
  readonly clock: Pick<Clock, 'setTimeout'>
}

/** What is answered. */
export interface UploadVerdict {
  readonly status: number
  /** Its beginning. */
  readonly text: string
}

/** Who refuses an upload for its length, or passes on only its head, does so before it comes. */
const PATIENCE_MS = 1_500
const TIMEOUT_MS = 30_000
const CHUNK_BYTES = 256 * 1024
const MAX_TEXT = 4_096

/**
 * Says how long a body is, waits whether somebody has something to say to that, and only then sends it (nothing but
 * zeros). Gives the first answer. Rejects with a `HttpFailure` when the connection ends without one.
 */
export async function probeUpload({ url, length, tls, clock }: UploadProbe): Promise<UploadVerdict> {
  const options = {
    method: 'POST',
    headers: { 'Content-Type': 'application/octet-stream', 'Content-Length': length },
    agent: false as const,
  }
  const request = url.startsWith('https:')
    ? requestHttps(url, {
        ...options,
        rejectUnauthorized: tls.verify,
        ...(tls.authorities === undefined ? {} : { ca: [...tls.authorities] }),
      })
    : requestHttp(url, options)
  const patience = clock.setTimeout(() => send(request, length), PATIENCE_MS)
  const deadline = clock.setTimeout(() => {
    request.destroy(Object.assign(new Error('timeout'), { code: 'ETIMEDOUT' }))
  }, TIMEOUT_MS)
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request.once('response', resolve).once('error', reject)
      request.flushHeaders()
    })
    return { status: response.statusCode ?? 0, text: await textOf(response) }
  } catch (error) {
    throw toHttpFailure(error)
  } finally {
    patience.cancel()
    deadline.cancel()
    request.on('error', () => undefined)
    request.destroy()
  }
}

function send(request: ReturnType<typeof requestHttp>, length: number): void {
  const chunk = Buffer.alloc(CHUNK_BYTES)
  let left = length
  const next = (): void => {
    while (left > 0 && !request.destroyed) {
      const part = chunk.subarray(0, Math.min(left, chunk.length))
      left -= part.length
      if (!request.write(part)) {
        request.once('drain', next)
        return
      }
    }
    if (!request.destroyed) request.end()
  }
  next()
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = ''
  try {
    for await (const chunk of response) {
      text += String(chunk)
      if (text.length > MAX_TEXT) break
    }
  } catch {
    // What has come is enough.
  }
  return text.slice(0, MAX_TEXT)
}
