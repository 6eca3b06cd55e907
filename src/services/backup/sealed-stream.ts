import { Transform, type TransformCallback } from 'node:stream'
import type sodium from 'libsodium-wrappers'
import type { StateAddress } from 'libsodium-wrappers'
import { ArchiveError } from './archive-format.js'

/**
 * A stream that only the owners of some keys can read. A text line names the format, another, in JSON, the recipients:
 * for each its public key and the key of this stream, sealed to it. Then libsodium's secretstream: its header, and
 * pieces of 64 KiB of the content, each with 17 bytes more; the last piece is shorter and marked as the last, so that a
 * stream that is cut is known as such. https://doc.libsodium.org/secret-key_cryptography/secretstream
 */
export const SEALED_MAGIC = 'mxhs-sealed-1\n'
const PIECE_BYTES = 64 * 1024
const MAX_RECIPIENTS_BYTES = 64 * 1024
const PUBLIC_PREFIX = 'mxhs-backup-public-'
const SECRET_PREFIX = 'mxhs-backup-secret-'
const KEY_BYTES = 32

type Sodium = typeof sodium

/** Keys as texts: a prefix that tells them apart, and URL-safe Base64. */
export interface BackupKeyPair {
  readonly publicKey: string
  readonly secretKey: string
}

interface Recipient {
  readonly key: string
  readonly sealed: string
}

/** Makes a pair: the public key seals archives, the secret one opens them. */
export async function makeBackupKeys(): Promise<BackupKeyPair> {
  const { crypto_box_keypair } = await loadSodium()
  const { publicKey, privateKey } = crypto_box_keypair()
  return { publicKey: PUBLIC_PREFIX + toText(publicKey), secretKey: SECRET_PREFIX + toText(privateKey) }
}

/** The public key of a secret one. Throws an `ArchiveError` for what is none. */
export async function publicKeyOf(secretKey: string): Promise<string> {
  const { crypto_scalarmult_base } = await loadSodium()
  return PUBLIC_PREFIX + toText(crypto_scalarmult_base(parseKey(secretKey, SECRET_PREFIX)))
}

/** A stream that seals what goes through it to public keys. Throws an `ArchiveError` for what is no public key. */
export async function createSealingStream(publicKeys: readonly string[]): Promise<Transform> {
  const lib = await loadSodium()
  const key = lib.crypto_secretstream_xchacha20poly1305_keygen()
  const recipients = publicKeys.map((publicKey): Recipient => {
    const parsed = parseKey(publicKey, PUBLIC_PREFIX)
    return { key: publicKey, sealed: toText(lib.crypto_box_seal(key, parsed)) }
  })
  return new SealingStream(lib, { key, recipients })
}

/**
 * A stream that opens what `createSealingStream` has made. It fails with an `ArchiveError` when no key fits, and when
 * what comes has been changed or cut.
 */
export async function createOpeningStream(secretKeys: readonly string[]): Promise<Transform> {
  const lib = await loadSodium()
  const keys = secretKeys.map((text) => parseKey(text, SECRET_PREFIX))
  return new OpeningStream(lib, keys)
}

class SealingStream extends Transform {
  readonly #lib: Sodium
  readonly #state: StateAddress
  #waiting = Buffer.alloc(0)

  constructor(lib: Sodium, { key, recipients }: { key: Uint8Array; recipients: readonly Recipient[] }) {
    super()
    this.#lib = lib
    const { state, header } = lib.crypto_secretstream_xchacha20poly1305_init_push(key)
    this.#state = state
    this.push(Buffer.from(`${SEALED_MAGIC}${JSON.stringify(recipients)}\n`))
    this.push(Buffer.from(header))
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#waiting = Buffer.concat([this.#waiting, chunk])
    let start = 0
    // What may be the last piece waits.
    for (; this.#waiting.length - start > PIECE_BYTES; start += PIECE_BYTES) {
      this.#seal(this.#waiting.subarray(start, start + PIECE_BYTES), false)
    }
    this.#waiting = Buffer.from(this.#waiting.subarray(start))
    done()
  }

  override _flush(done: TransformCallback): void {
    this.#seal(this.#waiting, true)
    done()
  }

  #seal(piece: Uint8Array, isLast: boolean): void {
    const lib = this.#lib
    const tag = isLast
      ? lib.crypto_secretstream_xchacha20poly1305_TAG_FINAL
      : lib.crypto_secretstream_xchacha20poly1305_TAG_MESSAGE
    this.push(Buffer.from(lib.crypto_secretstream_xchacha20poly1305_push(this.#state, piece, null, tag)))
  }
}

class OpeningStream extends Transform {
  readonly #lib: Sodium
  readonly #keys: readonly Uint8Array[]
  #state: StateAddress | undefined
  #key: Uint8Array | undefined
  #waiting = Buffer.alloc(0)
  #isOver = false

  constructor(lib: Sodium, keys: readonly Uint8Array[]) {
    super()
    this.#lib = lib
    this.#keys = keys
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    try {
      this.#waiting = Buffer.concat([this.#waiting, chunk])
      this.#key ??= this.#readRecipients()
      this.#state ??= this.#readHeader()
      if (this.#state !== undefined) this.#openPieces(this.#state)
      done()
    } catch (error) {
      done(error as Error)
    }
  }

  override _flush(done: TransformCallback): void {
    try {
      if (this.#state === undefined) throw new ArchiveError('The archive ends too early')
      if (this.#waiting.length > 0) this.#open(this.#state, this.#waiting)
      if (!this.#isOver) throw new ArchiveError('The archive ends too early')
      done()
    } catch (error) {
      done(error as Error)
    }
  }

  #readRecipients(): Uint8Array | undefined {
    const start = SEALED_MAGIC.length
    const end = this.#waiting.indexOf('\n', start)
    if (end < 0) {
      if (this.#waiting.length > MAX_RECIPIENTS_BYTES)
        throw new ArchiveError('The archive is damaged at its beginning')
      return undefined
    }
    const recipients = parseRecipients(this.#waiting.toString('utf8', start, end))
    this.#waiting = this.#waiting.subarray(end + 1)
    return this.#keyFor(recipients)
  }

  #keyFor(recipients: readonly Recipient[]): Uint8Array {
    const { crypto_scalarmult_base, crypto_box_seal_open } = this.#lib
    for (const secret of this.#keys) {
      const own = crypto_scalarmult_base(secret)
      const found = recipients.find(({ key }) => key === PUBLIC_PREFIX + toText(own))
      if (found === undefined) continue
      try {
        return crypto_box_seal_open(fromText(found.sealed), own, secret)
      } catch {
        throw new ArchiveError('The archive is damaged at its beginning')
      }
    }
    const names = recipients.map(({ key }) => key).join(', ')
    if (this.#keys.length === 0)
      throw new ArchiveError(`The archive is sealed: give the secret key of ${names}`)
    throw new ArchiveError(`The key does not fit: the archive is sealed to ${names}`)
  }

  #readHeader(): StateAddress | undefined {
    const size = this.#lib.crypto_secretstream_xchacha20poly1305_HEADERBYTES
    if (this.#key === undefined || this.#waiting.length < size) return undefined
    const header = this.#waiting.subarray(0, size)
    this.#waiting = this.#waiting.subarray(size)
    return this.#lib.crypto_secretstream_xchacha20poly1305_init_pull(header, this.#key)
  }

  #openPieces(state: StateAddress): void {
    const size = PIECE_BYTES + this.#lib.crypto_secretstream_xchacha20poly1305_ABYTES
    let start = 0
    for (; this.#waiting.length - start >= size; start += size) {
      this.#open(state, this.#waiting.subarray(start, start + size))
    }
    this.#waiting = Buffer.from(this.#waiting.subarray(start))
  }

  #open(state: StateAddress, piece: Uint8Array): void {
    const lib = this.#lib
    // False where the piece is none of this stream.
    const opened = this.#isOver ? false : lib.crypto_secretstream_xchacha20poly1305_pull(state, piece, null)
    if (opened === false) throw new ArchiveError('The archive has been changed, or is damaged or cut')
    this.#isOver = opened.tag === lib.crypto_secretstream_xchacha20poly1305_TAG_FINAL
    this.push(Buffer.from(opened.message))
  }
}

function parseRecipients(text: string): readonly Recipient[] {
  try {
    const list = JSON.parse(text) as unknown
    const isRecipient = (entry: unknown): entry is Recipient => {
      const { key, sealed } = (entry ?? {}) as Partial<Recipient>
      return typeof key === 'string' && typeof sealed === 'string'
    }
    if (Array.isArray(list) && list.every(isRecipient)) return list
  } catch {
    // As whatever else is no list of them.
  }
  throw new ArchiveError('The archive is damaged at its beginning')
}

function parseKey(text: string, prefix: string): Uint8Array {
  const bytes = text.startsWith(prefix) ? fromText(text.slice(prefix.length)) : undefined
  if (bytes?.length === KEY_BYTES) return bytes
  const kind = prefix === PUBLIC_PREFIX ? 'public' : 'secret'
  throw new ArchiveError(`This is no ${kind} key of backups: it begins with ${prefix}`)
}

function toText(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url')
}

function fromText(text: string): Uint8Array {
  return Buffer.from(text, 'base64url')
}

async function loadSodium(): Promise<Sodium> {
  const { default: lib } = await import('libsodium-wrappers')
  await lib.ready
  return lib
}
