import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { checkFederationResponse, type CheckedResponse } from './response-schemas.js'

/** A request of undici, as its diagnostics channels name it. */
interface UndiciRequest {
  readonly method: string
  readonly path: string
  readonly host: string | null
}

/** What one of its channels tells; each of them some of this. */
interface UndiciMessage {
  readonly request: UndiciRequest
  readonly response?: { readonly statusCode: number; readonly headers: readonly Buffer[] }
  readonly chunk?: Buffer
}

/** An answer of which the body is on its way. */
interface ComingAnswer {
  readonly status: number
  readonly contentType: string | null
  readonly chunks: Buffer[]
}

const HEADERS = 'undici:request:headers'
const CHUNK = 'undici:request:bodyChunkReceived'
const END = 'undici:request:trailers'

const CHECKED_PATHS = /^\/_matrix\/(?:federation|key)\//

/**
 * Holds what servers of this process answer each other against the schemas of the specification, by listening to the HTTP
 * client that they ask with: neither they nor the tests know of it.
 */
export class FederationAnswers implements Disposable {
  readonly #isOurs: (serverName: string) => boolean
  readonly #check: (response: CheckedResponse) => void
  readonly #coming = new WeakMap<UndiciRequest, ComingAnswer>()
  readonly #faults: Error[] = []
  readonly #listeners: ReadonlyMap<string, (message: unknown) => void>

  /**
   * @param isOurs whether a server has to answer as the specification says
   * @param check throws for answers that do not
   */
  constructor(isOurs: (serverName: string) => boolean, check = checkFederationResponse) {
    this.#isOurs = isOurs
    this.#check = check
    this.#listeners = new Map([
      [HEADERS, (message: unknown) => this.#begin(message as UndiciMessage)],
      [CHUNK, (message: unknown) => this.#continue(message as UndiciMessage)],
      [END, (message: unknown) => this.#end(message as UndiciMessage)],
    ])
    for (const [channel, listener] of this.#listeners) subscribe(channel, listener)
  }

  /** Throws the first fault that there was. */
  check(): void {
    const [fault] = this.#faults
    if (fault !== undefined) throw fault
  }

  [Symbol.dispose](): void {
    for (const [channel, listener] of this.#listeners) unsubscribe(channel, listener)
  }

  #begin({ request, response }: UndiciMessage): void {
    const { host, path } = request
    if (response === undefined || host === null || !this.#isOurs(host) || !CHECKED_PATHS.test(path)) return
    const { statusCode: status, headers } = response
    this.#coming.set(request, { status, contentType: contentTypeOf(headers), chunks: [] })
  }

  #continue({ request, chunk }: UndiciMessage): void {
    if (chunk !== undefined) this.#coming.get(request)?.chunks.push(Buffer.from(chunk))
  }

  #end({ request }: UndiciMessage): void {
    const answer = this.#coming.get(request)
    if (answer === undefined) return
    this.#coming.delete(request)
    const { status, contentType, chunks } = answer
    const { pathname } = new URL(request.path, 'https://server')
    const text = Buffer.concat(chunks).toString('utf8')
    try {
      this.#check({ method: request.method, path: pathname, status, contentType, text })
    } catch (error) {
      this.#faults.push(error as Error)
    }
  }
}

/** Of headers as they came: names and values in turn. */
function contentTypeOf(headers: readonly Buffer[]): string | null {
  for (let index = 0; index < headers.length; index += 2) {
    if (headers[index]!.toString('latin1').toLowerCase() === 'content-type')
      return headers[index + 1]!.toString('latin1')
  }
  return null
}
