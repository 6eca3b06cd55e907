import { isIP, type Socket } from 'node:net'
import { checkServerIdentity, connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls'
import type { Dialer } from '../dialer.js'
import { toHttpFailure } from '../http-failure.js'

/** A directory that cannot be asked, or whose answer cannot be read. The message is for the operator. */
export class LdapFailure extends Error {
  override readonly name = 'LdapFailure'
}

export interface LdapTlsSettings {
  /** False: the directory has to prove nothing. */
  readonly verifies: boolean
  /** Certificates in PEM that are trusted instead of the system's. */
  readonly authorities: string | undefined
  /** What this server shows of itself. */
  readonly certificate: string | undefined
  readonly key: string | undefined
  readonly keyPassword: string | undefined
  /** Names that the certificate may be for; undefined: the host's. */
  readonly names: readonly string[] | undefined
  /** The name that the directory is told; undefined: the host's. */
  readonly serverName: string | undefined
}

/** More than this is no answer to anything that is asked here. */
const MAX_MESSAGE_BYTES = 256 * 1024
const MAX_MESSAGES = 100

/**
 * Messages of LDAP (RFC 4511) over one connection, one exchange after the other. A directory that sends what is not asked
 * for, or too much, is not listened to any more.
 */
export class LdapConnection {
  readonly #signal: AbortSignal
  #socket: Socket
  #pending = Buffer.alloc(0)
  #failure: LdapFailure | undefined
  #wake: (() => void) | undefined

  private constructor(socket: Socket, signal: AbortSignal) {
    this.#signal = signal
    this.#socket = socket
    signal.addEventListener('abort', this.#onAbort)
    this.#listen(socket)
    if (signal.aborted) this.#onAbort()
  }

  /** Connects; `signal` ends the connection, whatever it is about. Rejects with an `LdapFailure`. */
  static async open(
    dialer: Pick<Dialer, 'dial'>,
    target: { readonly host: string; readonly port: number },
    signal: AbortSignal,
  ): Promise<LdapConnection> {
    return new LdapConnection(await dial(dialer, target, signal), signal)
  }

  /** Sends a message and gives those that come, each as it stands, until `isLast`. Rejects with an `LdapFailure`. */
  async exchange(message: Buffer, isLast: (answer: Buffer) => boolean): Promise<Buffer[]> {
    // What has come unasked is no answer.
    if (this.#pending.length > 0) throw this.#fail('it has sent something that was not asked for')
    if (this.#failure === undefined) this.#socket.write(message)
    const answers: Buffer[] = []
    for (;;) {
      const answer = await this.#next()
      answers.push(answer)
      if (isLast(answer)) return answers
      if (answers.length === MAX_MESSAGES) throw this.#fail('it sends more than was asked for')
    }
  }

  /** Goes on with TLS, to a directory that can prove to be this host. Rejects with an `LdapFailure`. */
  async secure(host: string, tls: LdapTlsSettings): Promise<void> {
    // Sent before there was TLS, by anybody on the way: it must not be taken for what comes under it.
    if (this.#pending.length > 0) throw this.#fail('it has sent more before TLS than it may')
    if (this.#failure !== undefined) throw this.#failure
    const plain = this.#socket
    plain.removeAllListeners('data')
    const secured = connectTls(toTlsOptions(plain, host, tls))
    this.#socket = secured
    await new Promise<void>((resolve, reject) => {
      this.#wake = () => reject(this.#failure ?? new LdapFailure('the connection was closed'))
      this.#listen(secured)
      secured.once('secureConnect', resolve)
    })
    this.#wake = undefined
  }

  close(): void {
    this.#signal.removeEventListener('abort', this.#onAbort)
    this.#fail('the connection is closed')
  }

  readonly #onAbort = (): void => {
    this.#fail('it does not answer in time')
  }

  async #next(): Promise<Buffer> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure
      const length = lengthOfMessage(this.#pending)
      if (length === 'malformed' || (length ?? 0) > MAX_MESSAGE_BYTES) {
        throw this.#fail('what it sends is no message of LDAP, or too long')
      }
      if (length !== undefined && this.#pending.length >= length) {
        const message = this.#pending.subarray(0, length)
        this.#pending = this.#pending.subarray(length)
        return message
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        this.#socket.resume()
      })
    }
  }

  #listen(socket: Socket | TLSSocket): void {
    socket.on('data', (data: Buffer) => {
      this.#pending = Buffer.concat([this.#pending, data])
      // Read on when it is known what it is.
      socket.pause()
      this.#wakeUp()
    })
    socket.on('error', (error: Error) => this.#fail(toHttpFailure(error).message))
    socket.on('close', () => this.#fail('it has closed the connection'))
  }

  #fail(message: string): LdapFailure {
    this.#failure ??= new LdapFailure(message)
    this.#socket.destroy()
    this.#wakeUp()
    return this.#failure
  }

  #wakeUp(): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }
}

function dial(
  dialer: Pick<Dialer, 'dial'>,
  target: { host: string; port: number },
  signal: AbortSignal,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(new LdapFailure('it does not answer in time'))
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
    dialer.dial({ ...target, tlsName: undefined }, (error, socket) => {
      signal.removeEventListener('abort', onAbort)
      if (error !== null) reject(new LdapFailure(toHttpFailure(error).message, { cause: error }))
      else if (signal.aborted) socket.destroy()
      else resolve(socket)
    })
  })
}

function toTlsOptions(socket: Socket, host: string, tls: LdapTlsSettings): ConnectionOptions {
  const { verifies, authorities, certificate, key, keyPassword, names, serverName } = tls
  const told = serverName ?? host
  return {
    socket,
    host,
    // An address is no name to be told.
    ...(isIP(told) === 0 && { servername: told }),
    rejectUnauthorized: verifies,
    ...(authorities !== undefined && { ca: authorities }),
    ...(certificate !== undefined && { cert: certificate }),
    ...(key !== undefined && { key }),
    ...(keyPassword !== undefined && { passphrase: keyPassword }),
    checkServerIdentity: (_told, shown) => {
      const failures = (names ?? [host]).map((name) => checkServerIdentity(name, shown))
      return failures.includes(undefined) ? undefined : failures[0]
    },
  }
}

/**
 * How long the message at the beginning is, of which perhaps only a part has come; undefined: that is not known yet.
 * https://www.rfc-editor.org/rfc/rfc4511#section-5.1
 */
function lengthOfMessage(bytes: Buffer): number | 'malformed' | undefined {
  if (bytes.length === 0) return undefined
  if (bytes[0] !== SEQUENCE) return 'malformed'
  const first = bytes[1]
  if (first === undefined) return undefined
  if (first < LONG_FORM) return 2 + first
  const size = first - LONG_FORM
  if (size === 0 || size > MAX_LENGTH_BYTES) return 'malformed'
  return bytes.length < 2 + size ? undefined : 2 + size + bytes.readUIntBE(2, size)
}

const SEQUENCE = 0x30
const LONG_FORM = 0x80
const MAX_LENGTH_BYTES = 4
