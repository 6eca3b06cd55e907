import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { BerReader, BerWriter, FilterParser } from 'ldapts'
import type { TestCertificate } from './test-authority.js'

/** Somebody who is in the directory. */
export interface DirectoryEntry {
  readonly dn: string
  readonly password?: string
  /** By their names in lower case. */
  readonly attributes: Readonly<Record<string, string | readonly string[]>>
}

export interface DirectoryOptions {
  readonly entries: readonly DirectoryEntry[]
  /** Who may search; anybody unless it is given. */
  readonly readers?: readonly string[]
  /** For StartTLS, or from the first byte. */
  readonly certificate?: TestCertificate
  readonly isTls?: boolean
  /** Under TLS, only those are heard who show a certificate of this authority. */
  readonly clients?: { readonly authority: string }
  /** Answers in the place of the directory, as bytes; undefined: as usual. */
  readonly intrude?: (operation: number, messageId: number) => Buffer | undefined
  /** How it compares; without case unless it is given. */
  readonly compares?: (a: string, b: string) => boolean
}

export const BIND_REQUEST = 0x60
export const BIND_RESPONSE = 0x61
export const SEARCH_REQUEST = 0x63
const SEARCH_ENTRY = 0x64
const SEARCH_DONE = 0x65
const EXTENDED_REQUEST = 0x77
export const EXTENDED_RESPONSE = 0x78
const INVALID_CREDENTIALS = 49
const INSUFFICIENT_ACCESS = 50

/** A directory with the little of LDAP that is spoken to it. */
export class FakeDirectory implements AsyncDisposable {
  /** As whom it has been asked to bind, in order; `(tls)` in front where that was under TLS. */
  readonly binds: string[] = []
  readonly #options: DirectoryOptions
  readonly #sockets = new Set<Socket>()
  readonly #server = createServer((socket) => this.#accept(socket))

  private constructor(options: DirectoryOptions) {
    this.#options = options
  }

  static async start(options: DirectoryOptions): Promise<FakeDirectory> {
    const directory = new FakeDirectory(options)
    directory.#server.listen(0, '127.0.0.1')
    await once(directory.#server, 'listening')
    return directory
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get url(): string {
    return `${this.#options.isTls ? 'ldaps' : 'ldap'}://127.0.0.1:${this.port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
    await once(this.#server, 'close')
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('close', () => this.#sockets.delete(socket))
    new Session(this.#options, this.binds).serve(this.#options.isTls ? this.#secure(socket) : socket)
  }

  #secure(socket: Socket): Socket {
    return secure(socket, this.#options)
  }
}

function secure(socket: Socket, { certificate, clients }: DirectoryOptions): Socket {
  const secured = new TLSSocket(socket, {
    isServer: true,
    cert: certificate?.certificate,
    key: certificate?.privateKey,
    ...(clients && { requestCert: true, rejectUnauthorized: true, ca: clients.authority }),
  })
  return secured.on('error', () => undefined)
}

class Session {
  readonly #options: DirectoryOptions
  readonly #binds: string[]
  #boundAs = ''
  #isSecure = false

  constructor(options: DirectoryOptions, binds: string[]) {
    this.#options = options
    this.#binds = binds
  }

  serve(socket: Socket): void {
    this.#isSecure = socket instanceof TLSSocket
    socket.on('data', (data) => {
      const reader = new BerReader(data)
      reader.readSequence()
      const messageId = reader.readInt()!
      const operation = reader.readSequence()!
      const intrusion = this.#options.intrude?.(operation, messageId)
      if (intrusion !== undefined) socket.write(intrusion)
      else if (operation === BIND_REQUEST) socket.write(this.#bind(reader, messageId))
      else if (operation === SEARCH_REQUEST) socket.write(this.#search(reader, messageId))
      else if (operation === EXTENDED_REQUEST) this.#startTls(socket, messageId)
    })
  }

  #bind(reader: BerReader, messageId: number): Buffer {
    reader.readInt()
    const dn = reader.readString()!
    const password = reader.readString(0x80)!
    this.#binds.push(`${this.#isSecure ? '(tls)' : ''}${dn}`)
    const known = this.#options.entries.find((entry) => this.#isSame(entry.dn, dn))
    // As real ones do: without a password somebody is nobody, to which there is nothing to object.
    const isGood = password === '' || (known?.password !== undefined && known.password === password)
    this.#boundAs = isGood && password !== '' ? dn : ''
    return result(messageId, BIND_RESPONSE, isGood ? 0 : INVALID_CREDENTIALS)
  }

  #search(reader: BerReader, messageId: number): Buffer {
    const base = reader.readString()!
    const scope = reader.readEnumeration()
    reader.readEnumeration()
    reader.readInt()
    reader.readInt()
    reader.readBoolean()
    const filter = FilterParser.parse(reader)
    const { readers, entries } = this.#options
    if (base !== '' && readers !== undefined && !readers.includes(this.#boundAs)) {
      return result(messageId, SEARCH_DONE, INSUFFICIENT_ACCESS)
    }
    const found = entries.filter(({ dn, attributes }) => {
      // An entry itself is only asked for with the condition that it is there.
      if (scope === 0) return dn === base
      if (dn === '' || !dn.endsWith(base)) return false
      const values = Object.entries({ objectclass: 'person', ...attributes })
      const singles = values.map(([name, value]) => [name, [value].flat()[0] ?? ''])
      return (
        filter.matches(Object.fromEntries(singles) as Record<string, string>) ||
        this.#isAlike(filter, attributes)
      )
    })
    return Buffer.concat([...found.map((each) => entry(messageId, each)), result(messageId, SEARCH_DONE, 0)])
  }

  #isAlike(filter: object, attributes: DirectoryEntry['attributes']): boolean {
    if (this.#options.compares === undefined || !('attribute' in filter) || !('value' in filter)) return false
    const values = [attributes[String(filter.attribute)] ?? []].flat()
    return values.some((value) => this.#options.compares!(value, String(filter.value)))
  }

  #isSame(a: string, b: string): boolean {
    return (this.#options.compares ?? ((x, y) => x.toLowerCase() === y.toLowerCase()))(a, b)
  }

  #startTls(socket: Socket, messageId: number): void {
    if (this.#options.certificate === undefined) {
      socket.write(result(messageId, EXTENDED_RESPONSE, 52))
      return
    }
    socket.removeAllListeners('data')
    socket.write(result(messageId, EXTENDED_RESPONSE, 0))
    this.serve(secure(socket, this.#options))
  }
}

/** A message with a result. */
export function result(messageId: number, operation: number, code: number, text = ''): Buffer {
  return message(messageId, operation, (writer) => {
    writer.writeEnumeration(code)
    writer.writeString('')
    writer.writeString(text)
  })
}

function entry(messageId: number, { dn, attributes }: DirectoryEntry): Buffer {
  return message(messageId, SEARCH_ENTRY, (writer) => {
    writer.writeString(dn)
    writer.startSequence()
    for (const [name, values] of Object.entries(attributes)) {
      writer.startSequence()
      writer.writeString(name)
      writer.startSequence(0x31)
      for (const value of [values].flat()) writer.writeString(value)
      writer.endSequence()
      writer.endSequence()
    }
    writer.endSequence()
  })
}

export function message(messageId: number, operation: number, write: (writer: BerWriter) => void): Buffer {
  const writer = new BerWriter()
  writer.startSequence()
  writer.writeInt(messageId)
  writer.startSequence(operation)
  write(writer)
  writer.endSequence()
  writer.endSequence()
  return writer.buffer
}
