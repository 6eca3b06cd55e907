import { Transform, type Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import type { Clock, Timer } from '../util/clock.js'
import { unlessAborted } from '../util/unless-aborted.js'
import { HttpFailure, toHttpFailure } from './http-failure.js'

export type HttpMethod = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE'

/** By lower-case name. */
export type HttpHeaders = Readonly<Record<string, string | string[] | undefined>>

/** One request on connections that are there for it. */
export interface HttpExchangeRequest {
  /** Scheme, host and port. */
  readonly origin: string
  /** With the query. */
  readonly path: string
  readonly method: HttpMethod
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | Buffer | undefined
}

export interface HttpLimits {
  readonly clock: Pick<Clock, 'setTimeout'>
  /** From the beginning to the last byte of the answer. */
  readonly timeoutMs: number
  /** Of the body. */
  readonly maxBytes: number
  readonly signal?: AbortSignal | undefined
}

export interface HttpReply {
  readonly status: number
  readonly headers: HttpHeaders
  readonly body: Buffer
}

export interface HttpStreamReply {
  readonly status: number
  readonly headers: HttpHeaders
  /** Fails with a `HttpFailure` beyond the limits. Whoever does not read it to its end destroys it. */
  readonly body: Readable
}

/** Sends a request and reads the whole answer. Rejects with a `HttpFailure`. */
export async function exchange(
  dispatcher: Dispatcher,
  request: HttpExchangeRequest,
  limits: HttpLimits,
): Promise<HttpReply> {
  const deadline = new Deadline(limits)
  try {
    const { statusCode, headers, body } = await send(dispatcher, request, deadline)
    return { status: statusCode, headers, body: await readAll(body, headers, limits.maxBytes) }
  } catch (error) {
    throw deadline.explain(error)
  } finally {
    deadline.end()
  }
}

/** Sends a request; the body comes as it comes, within the same limits. Rejects with a `HttpFailure`. */
export async function exchangeStream(
  dispatcher: Dispatcher,
  request: HttpExchangeRequest,
  limits: HttpLimits,
): Promise<HttpStreamReply> {
  const deadline = new Deadline(limits)
  try {
    const { statusCode, headers, body } = await send(dispatcher, request, deadline)
    body.once('close', () => deadline.end())
    if (declaredLength(headers) > limits.maxBytes) {
      body.destroy()
      throw tooLarge(limits.maxBytes)
    }
    return { status: statusCode, headers, body: limitStream(body, limits.maxBytes, deadline) }
  } catch (error) {
    deadline.end()
    throw deadline.explain(error)
  }
}

async function send(
  dispatcher: Dispatcher,
  { origin, path, method, headers, body }: HttpExchangeRequest,
  deadline: Deadline,
): Promise<Dispatcher.ResponseData> {
  const sending = dispatcher.request({
    origin,
    path,
    method,
    headers: { ...headers },
    body: body ?? null,
    signal: deadline.signal,
    // The deadline is for all of it.
    headersTimeout: 0,
    bodyTimeout: 0,
  })
  // A request that still waits for its connection hears of the signal only when there is one.
  const givenUp = (): HttpFailure => deadline.explain(deadline.signal.reason)
  const response = await unlessAborted(deadline.signal, givenUp, sending)
  // Told to whoever reads; nobody may be reading any more.
  response.body.on('error', () => undefined)
  return response
}

async function readAll(body: Readable, headers: HttpHeaders, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    if (declaredLength(headers) > maxBytes) throw tooLarge(maxBytes)
    for await (const chunk of body as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > maxBytes) throw tooLarge(maxBytes)
      chunks.push(chunk)
    }
  } catch (error) {
    body.destroy()
    throw error
  }
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
}

/** The same bytes; ends with a failure where there are more than `maxBytes`, or when the time is over. */
function limitStream(body: Readable, maxBytes: number, deadline: Deadline): Readable {
  let size = 0
  const limited = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      size += chunk.length
      if (size > maxBytes) done(tooLarge(maxBytes))
      else done(null, chunk)
    },
  })
  // Told to whoever reads; nobody may be reading any more.
  limited.on('error', () => undefined)
  limited.once('close', () => body.destroy())
  body.once('error', (error) => limited.destroy(deadline.explain(error)))
  return body.pipe(limited)
}

function declaredLength(headers: HttpHeaders): number {
  return Number(headers['content-length'] ?? 0)
}

function tooLarge(maxBytes: number): HttpFailure {
  return new HttpFailure('tooLarge', `the answer is larger than ${maxBytes} bytes`)
}

/** Ends an exchange when its time is over, or when the caller does not want it any more. */
class Deadline {
  readonly #controller = new AbortController()
  readonly #timer: Timer
  readonly #caller: AbortSignal | undefined
  readonly #abort: () => void
  #failure: HttpFailure | undefined

  constructor({ clock, timeoutMs, signal }: HttpLimits) {
    this.#caller = signal
    this.#abort = () => this.#fail(new HttpFailure('aborted', 'the request was given up'))
    this.#timer = clock.setTimeout(
      () => this.#fail(new HttpFailure('timeout', `no complete answer came within ${timeoutMs} ms`)),
      timeoutMs,
    )
    if (signal?.aborted) this.#abort()
    else signal?.addEventListener('abort', this.#abort, { once: true })
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  end(): void {
    this.#timer.cancel()
    this.#caller?.removeEventListener('abort', this.#abort)
  }

  /** The reason for which an exchange has ended, whatever the error looks like. */
  explain(error: unknown): HttpFailure {
    return this.#failure ?? toHttpFailure(error)
  }

  #fail(failure: HttpFailure): void {
    this.#failure ??= failure
    this.#controller.abort(failure)
  }
}
