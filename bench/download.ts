import { connect } from 'node:net'

export interface Download {
  readonly port: number
  readonly host: string
  readonly path: string
  readonly token?: string
}

const BUFFER_BYTES = 256 * 1024

/**
 * Downloads a file and forgets it, with as little of a client as there can be: what is measured is the server.
 * @returns the bytes of the answer, head included
 * @throws when the answer is not a 200
 */
export function download({ port, host, path, token }: Download): Promise<number> {
  return new Promise((resolve, reject) => {
    let bytes = 0
    let head = ''
    const socket = connect({
      port,
      host,
      onread: {
        buffer: Buffer.allocUnsafe(BUFFER_BYTES),
        callback: (count, buffer) => {
          if (bytes === 0) head = Buffer.from(buffer.subarray(0, Math.min(count, 64))).toString('latin1')
          bytes += count
          return true
        },
      },
    })
    const authorization = token === undefined ? '' : `Authorization: Bearer ${token}\r\n`
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.write(
        `GET ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\n${authorization}Connection: close\r\n\r\n`,
      )
    })
    socket.once('close', () => {
      if (head.startsWith('HTTP/1.1 200')) resolve(bytes)
      else reject(new Error(`GET ${path}: ${head.split('\r\n')[0] ?? ''}`))
    })
  })
}
