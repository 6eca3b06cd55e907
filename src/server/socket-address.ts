import { existsSync } from 'node:fs'
import { open, stat, type FileHandle } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/** What the smallest `sockaddr_un` of the systems that we run on holds, without the zero at its end. */
const MAX_ADDRESS_BYTES = 103
const DESCRIPTORS = '/proc/self/fd'

/** The directory of a control socket lets others put their own socket there. */
export class UnsafeDirectoryError extends Error {
  override readonly name = 'UnsafeDirectoryError'
}

/**
 * What to bind or connect to for the Unix socket at a path. Addresses of sockets are much shorter than paths may be; a
 * longer path is reached through an open descriptor of its directory, where the system shows these as files.
 */
export class SocketAddress {
  readonly address: string
  readonly #directory: FileHandle | undefined

  private constructor(address: string, directory: FileHandle | undefined) {
    this.address = address
    this.#directory = directory
  }

  /** Rejects when the directory is not there, or when the path is too long and the system offers no other way. */
  static async of(path: string): Promise<SocketAddress> {
    if (Buffer.byteLength(path) <= MAX_ADDRESS_BYTES) return new SocketAddress(path, undefined)
    const name = basename(path)
    if (
      !existsSync(DESCRIPTORS) ||
      Buffer.byteLength(join(DESCRIPTORS, '1000000', name)) > MAX_ADDRESS_BYTES
    ) {
      throw new Error(`${path} is too long for a socket: name a shorter one in control_socket`)
    }
    const directory = await open(dirname(path), 'r')
    return new SocketAddress(join(DESCRIPTORS, String(directory.fd), name), directory)
  }

  /** To be called when the socket is closed. */
  async close(): Promise<void> {
    await this.#directory?.close()
  }
}

const WRITABLE_BY_OTHERS = 0o002

/**
 * Rejects with an `UnsafeDirectoryError` for a directory that everybody may write to: whoever puts a socket there first
 * would be told what is meant for the server.
 */
export async function checkSocketDirectory(path: string): Promise<void> {
  const directory = dirname(path)
  const { mode } = await stat(directory)
  if ((mode & WRITABLE_BY_OTHERS) === 0) return
  throw new UnsafeDirectoryError(
    `Everybody may write to ${directory}: no control socket there. Take that right away (chmod o-w), or name another place in control_socket`,
  )
}
