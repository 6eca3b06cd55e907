import type { Socket } from 'node:net'
import { StringDecoder } from 'node:string_decoder'
import { isJsonObject, type JsonObject, type JsonValue } from '../util/json.js'

/** What one command of the same machine asks for. */
export interface ControlRequest {
  readonly method: string
  readonly params: JsonObject
}

/** A request was refused, with a code for programs and a message for people. */
export class ControlError extends Error {
  override readonly name = 'ControlError'
  /** Such as `unknown_method`, or the errcode of a `MatrixError`. */
  readonly code: string

  constructor(code: string, message: string, options: ErrorOptions = {}) {
    super(message, options)
    this.code = code
  }
}

/** Answers a request; the signal aborts when nobody waits any more. Throws a `ControlError` where it refuses. */
export type AnswerRequest = (request: ControlRequest, signal: AbortSignal) => Promise<JsonValue>

/** A request is a line of at most this many UTF-16 units. */
export const MAX_REQUEST_LENGTH = 1024 * 1024
/** Whoever sends nothing for this long, and waits for nothing, has forgotten about the connection. */
const IDLE_MS = 60_000

/**
 * Serves one connection: each line is a request, `{"method": ..., "params": {...}}`, and is answered, one after the
 * other, by a line `{"result": ...}` or `{"error": {"code": ..., "message": ...}}`. Resolves when the connection is over.
 */
export async function serveConnection(socket: Socket, answer: AnswerRequest): Promise<void> {
  const gone = new AbortController()
  const decoder = new StringDecoder('utf8')
  let unread = ''
  let running: Promise<void> | undefined

  const work = async (): Promise<void> => {
    for (let end = unread.indexOf('\n'); end >= 0 && !gone.signal.aborted; end = unread.indexOf('\n')) {
      const line = unread.slice(0, end)
      unread = unread.slice(end + 1)
      socket.setTimeout(0)
      const reply = await replyTo(line, answer, gone.signal)
      if (!socket.destroyed) socket.write(`${JSON.stringify(reply)}\n`)
      socket.setTimeout(IDLE_MS)
    }
    running = undefined
  }

  socket.setTimeout(IDLE_MS, () => socket.destroy())
  socket.on('data', (chunk: Buffer) => {
    unread += decoder.write(chunk)
    running ??= unread.includes('\n') ? work() : undefined
    if (unread.length > MAX_REQUEST_LENGTH) {
      const error = { code: 'too_large', message: `A request has at most ${MAX_REQUEST_LENGTH} characters` }
      socket.end(`${JSON.stringify({ error })}\n`)
      socket.destroySoon()
    }
  })
  socket.on('error', () => socket.destroy())
  await new Promise((resolve) => socket.once('close', resolve))
  gone.abort(new Error('Whoever asked has gone'))
  await running
}

async function replyTo(line: string, answer: AnswerRequest, signal: AbortSignal): Promise<JsonObject> {
  try {
    return { result: await answer(parseRequest(line), signal) }
  } catch (error) {
    const { code, message } =
      error instanceof ControlError ? error : { code: 'internal', message: 'Internal error' }
    return { error: { code, message } }
  }
}

function parseRequest(line: string): ControlRequest {
  const request = parseJson(line)
  if (!isJsonObject(request)) throw new ControlError('bad_request', 'A request is a JSON object')
  const { method, params = {} } = request
  if (typeof method !== 'string') throw new ControlError('bad_request', 'A request names its method')
  if (!isJsonObject(params)) throw new ControlError('bad_request', 'Parameters are a JSON object')
  return { method, params }
}

function parseJson(line: string): JsonValue {
  try {
    return JSON.parse(line) as JsonValue
  } catch {
    throw new ControlError('bad_request', 'A request is one line of JSON')
  }
}
