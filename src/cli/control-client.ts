import { once } from 'node:events'
import { lstat } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { StringDecoder } from 'node:string_decoder'
import { controlSocketPlace } from '../config/control-socket-path.js'
import type { HomeserverConfig } from '../config/homeserver-config.js'
import { checkSocketDirectory, SocketAddress, UnsafeDirectoryError } from '../server/socket-address.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../util/json.js'
import { CommandFailure } from './failures.js'

/** The running server refuses what it was asked for. */
class RefusedByServer extends CommandFailure {
  /** As in `unknown_method`, or an errcode. */
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

/**
 * Does something with the running server of a configuration; undefined when none runs (then nothing has been done).
 * Throws a `CommandFailure` when there is one that this user may not talk to.
 */
export async function withRunningServer<T>(
  config: Pick<HomeserverConfig, 'database' | 'media' | 'server'>,
  work: (client: ControlClient) => Promise<T>,
): Promise<T | undefined> {
  const place = controlSocketPlace(config)
  if (place === undefined) return undefined
  const client = await ControlClient.connect(place.path)
  if (client === undefined) return undefined
  try {
    return await work(client)
  } finally {
    client.close()
  }
}

/** A connection to the control socket of a running server. Calls are answered in their order. */
export class ControlClient {
  readonly #socket: Socket
  readonly #waiting: ((reply: JsonObject | Error) => void)[] = []
  #over: Error | undefined

  private constructor(socket: Socket) {
    this.#socket = socket
    const decoder = new StringDecoder('utf8')
    let unread = ''
    socket.on('data', (chunk: Buffer) => {
      unread += decoder.write(chunk)
      for (let end = unread.indexOf('\n'); end >= 0; end = unread.indexOf('\n')) {
        this.#waiting.shift()?.(parseReply(unread.slice(0, end)))
        unread = unread.slice(end + 1)
      }
    })
    socket.on('error', () => undefined)
    socket.once('close', () => {
      this.#over = new CommandFailure('The server has ended the connection')
      for (const settle of this.#waiting.splice(0)) settle(this.#over)
    })
  }

  /** Undefined when no server listens there. Throws a `CommandFailure` when this user may not talk to it. */
  static async connect(path: string): Promise<ControlClient | undefined> {
    try {
      await lstat(path)
      await checkSocketDirectory(path)
      const address = await SocketAddress.of(path)
      try {
        const socket = connect(address.address)
        await once(socket, 'connect')
        return new ControlClient(socket)
      } finally {
        await address.close()
      }
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      if (code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ENOTDIR') return undefined
      if (error instanceof UnsafeDirectoryError) throw new CommandFailure(message, { cause: error })
      const hint = code === 'EACCES' ? ': run this as the user that the server runs as' : ''
      throw new CommandFailure(`Cannot talk to the running server: ${message}${hint}`, { cause: error })
    }
  }

  /**
   * Asks the server for something and gives its answer. Waits for as long as that takes. Throws a `RefusedByServer` when
   * it refuses, and a `CommandFailure` when it goes away meanwhile.
   */
  async call(method: string, params: JsonObject = {}): Promise<JsonValue> {
    if (this.#over !== undefined) throw this.#over
    const reply = await new Promise<JsonObject | Error>((resolve) => {
      this.#waiting.push(resolve)
      this.#socket.write(`${JSON.stringify({ method, params })}\n`)
    })
    if (reply instanceof Error) throw reply
    const { result, error } = reply
    if (isJsonObject(error)) {
      const { code, message } = error
      throw new RefusedByServer(
        typeof code === 'string' ? code : 'internal',
        typeof message === 'string' ? message : 'The server does not say why',
      )
    }
    return result ?? null
  }

  close(): void {
    this.#socket.destroy()
  }
}

function parseReply(line: string): JsonObject | Error {
  try {
    const reply = JSON.parse(line) as JsonValue
    if (isJsonObject(reply)) return reply
  } catch {
    // As whatever else is no answer.
  }
  return new CommandFailure('The server answers with something that is no answer')
}
