import { linkSync, lstatSync, renameSync, rmSync } from 'node:fs'
import { chmod, mkdir } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { once } from 'node:events'
import { dirname } from 'node:path'
import type { ControlSocketPlace } from '../config/control-socket-path.js'
import type { Logger } from '../telemetry/logger.js'
import { MatrixError } from '../protocol/errors.js'
import type { JsonObject, JsonValue } from '../util/json.js'
import { randomToken } from '../util/random.js'
import { ControlError, serveConnection, type AnswerRequest } from './control-connection.js'
import { checkSocketDirectory, SocketAddress } from './socket-address.js'

/** What a method is given beside its parameters. */
export interface ControlContext {
  /** Aborts when whoever asked has gone, and when the server stops. */
  readonly signal: AbortSignal
}

/**
 * One thing that a running server does for commands. Parameters come from a process with the server's own rights, but
 * are checked nevertheless. Throws a `ControlError` or a `MatrixError` where it refuses; anything else is our own fault.
 */
export type ControlMethod = (params: JsonObject, context: ControlContext) => Promise<JsonValue>

export type ControlMethods = Readonly<Record<string, ControlMethod>>

/** Another server runs with the same data. */
export class ServerRunsError extends Error {
  override readonly name = 'ServerRunsError'
}

/** So many commands at once are a mistake. */
const MAX_CONNECTIONS = 64
/** A socket that is taken over by others again and again is not ours to have. */
const ATTEMPTS = 5

/**
 * The Unix socket at which a running server takes requests of commands of the same machine. It is also the mark that the
 * data directory is in use: of two servers only one can have it. Whoever may connect (the owner of the directory's
 * server, and root) may do everything that the server can.
 */
export class ControlSocket {
  readonly path: string
  readonly #server: Server
  readonly #address: SocketAddress
  readonly #logger: Logger
  readonly #ending = new AbortController()
  readonly #connections = new Set<Socket>()
  readonly #running = new Set<Promise<JsonValue>>()
  #methods: ControlMethods | undefined

  private constructor(
    path: string,
    { server, address, logger }: { server: Server; address: SocketAddress; logger: Logger },
  ) {
    this.path = path
    this.#server = server
    this.#address = address
    this.#logger = logger
    server.on('connection', (socket) => void this.#serve(socket))
  }

  /**
   * Takes the socket at a path; what a server that was killed has left there is replaced. Until `serve`, requests are
   * told that the server starts. Rejects with a `ServerRunsError` where another server answers, and where the directory
   * is not there, is open to others (`UnsafeDirectoryError`) or cannot be written to.
   */
  static async open(path: string, logger: Logger): Promise<ControlSocket> {
    await checkSocketDirectory(path)
    const address = await SocketAddress.of(path)
    try {
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        const server = await listen(address.address)
        if (server !== undefined) return new ControlSocket(path, { server, address, logger })
        await removeStale(path)
      }
      throw new ServerRunsError(`${path} is taken by others again and again`)
    } catch (error) {
      await address.close()
      throw error
    }
  }

  /** Answers requests from now on. */
  serve(methods: ControlMethods): void {
    this.#methods = methods
  }

  /** Begins nothing any more and tells what runs to end; the directory stays taken. */
  end(): void {
    this.#ending.abort(new ControlError('stopping', 'The server is about to stop'))
  }

  /** Resolves when no request runs. */
  async whenIdle(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled(this.#running)
  }

  /** Gives the directory free. */
  async close(): Promise<void> {
    this.end()
    if (!this.#server.listening) return
    const closed = once(this.#server, 'close')
    // The file goes with it.
    this.#server.close()
    for (const socket of this.#connections) socket.destroySoon()
    await closed
    await this.#address.close()
  }

  async #serve(socket: Socket): Promise<void> {
    this.#connections.add(socket)
    await serveConnection(socket, this.#answer)
    this.#connections.delete(socket)
  }

  readonly #answer: AnswerRequest = async ({ method, params }, gone) => {
    if (this.#ending.signal.aborted) throw this.#ending.signal.reason as ControlError
    const methods = this.#methods
    if (methods === undefined) throw new ControlError('starting', 'The server is about to start')
    const run = Object.hasOwn(methods, method) ? methods[method] : undefined
    if (run === undefined) throw new ControlError('unknown_method', `The server knows no method ${method}`)
    const running = run(params, { signal: AbortSignal.any([gone, this.#ending.signal]) })
    this.#running.add(running)
    try {
      return await running
    } catch (error) {
      if (error instanceof ControlError) throw error
      if (error instanceof MatrixError) throw new ControlError(error.errcode, error.message, { cause: error })
      this.#logger.error({ err: error, method }, 'A request at the control socket has failed')
      throw error
    } finally {
      this.#running.delete(running)
    }
  }
}

/**
 * The socket of a configuration, or undefined where there is to be none. One that only is at the usual place may be
 * impossible there (the file system or its rights do not allow it): that is logged, and the server runs without it.
 */
export async function openControlSocket(
  place: ControlSocketPlace | undefined,
  logger: Logger,
): Promise<ControlSocket | undefined> {
  if (place === undefined) return undefined
  try {
    if (place.makesDirectory) await mkdir(dirname(place.path), { recursive: true })
    return await ControlSocket.open(place.path, logger)
  } catch (error) {
    if (place.isChosen || error instanceof ServerRunsError) throw error
    const reason = (error as Error).message
    logger.warn({ path: place.path, reason }, 'There is no control socket: commands cannot reach this server')
    return undefined
  }
}

/** Undefined when something is at the address already. */
async function listen(address: string): Promise<Server | undefined> {
  const server = createServer()
  server.maxConnections = MAX_CONNECTIONS
  const listening = new Promise<boolean>((resolve, reject) => {
    server.once('listening', () => resolve(true))
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(false)
      else reject(error)
    })
  })
  // The file is made at once, while the mask is in force: nobody else can connect at any time.
  const mask = process.umask(0o177)
  try {
    server.listen(address)
  } finally {
    process.umask(mask)
  }
  if (!(await listening)) return undefined
  await chmod(address, 0o600)
  return server
}

/**
 * Removes the socket of a server that is no more. Of several that do this at once, none removes what another has just
 * made: it is moved aside only if it is still the one that was looked at. Throws a `ServerRunsError` when somebody
 * answers.
 */
async function removeStale(path: string): Promise<void> {
  const found = markOf(path)
  if (found === undefined) return
  if (await isAnswered(path)) throw runningServer(path)
  if (markOf(path) !== found) return
  const aside = `${path}.${randomToken(8)}`
  renameSync(path, aside)
  if (markOf(aside) !== found) linkSync(aside, path)
  rmSync(aside)
}

/** Tells a socket from another that is made in its place. Undefined where nothing is. Throws for what is no socket. */
function markOf(path: string): string | undefined {
  const stats = lstatSync(path, { bigint: true, throwIfNoEntry: false })
  if (stats === undefined) return undefined
  if (!stats.isSocket()) throw new Error(`${path} is no socket`)
  // Numbers of files are used again; when it was made is not changed by what is done here.
  return `${stats.ino} ${stats.mtimeNs}`
}

/** Whether a process listens. */
async function isAnswered(path: string): Promise<boolean> {
  const address = await SocketAddress.of(path)
  const socket = connect(address.address)
  try {
    await once(socket, 'connect')
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    // Anything else is somebody who has no time now.
    return code !== 'ECONNREFUSED' && code !== 'ENOENT'
  } finally {
    socket.destroy()
    await address.close()
  }
}

function runningServer(path: string): ServerRunsError {
  return new ServerRunsError(
    `Another server runs with the same data: it answers at ${path}. Stop it first; where two are to share the directory, name a control_socket for each`,
  )
}
