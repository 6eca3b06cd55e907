import { Transform, type TransformCallback } from 'node:stream'
import { createGzip, type Gzip } from 'node:zlib'

/**
 * Compresses with a level that can be changed on the way. What is compressed with one level is a gzip file of its own;
 * several, one behind the other, are one to whoever reads them. https://www.rfc-editor.org/rfc/rfc1952#section-2.2
 */
export class GzipMembers extends Transform {
  #gzip: Gzip
  #nextLevel: number | undefined

  constructor(level: number) {
    super()
    this.#gzip = this.#begin(level)
  }

  /** From about now on: what is on its way already may be compressed with either. */
  changeLevel(level: number): void {
    this.#nextLevel = level
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    if (this.#nextLevel === undefined) {
      this.#write(chunk, done)
      return
    }
    const level = this.#nextLevel
    this.#nextLevel = undefined
    this.#end(() => {
      this.#gzip = this.#begin(level)
      this.#write(chunk, done)
    })
  }

  override _flush(done: TransformCallback): void {
    this.#end(done)
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#gzip.destroy()
    done(error)
  }

  #begin(level: number): Gzip {
    const gzip = createGzip({ level })
    gzip.on('data', (chunk: Buffer) => this.push(chunk))
    gzip.on('error', (error) => this.destroy(error))
    return gzip
  }

  #write(chunk: Buffer, done: () => void): void {
    if (this.#gzip.write(chunk)) done()
    else this.#gzip.once('drain', done)
  }

  #end(done: () => void): void {
    this.#gzip.once('end', done)
    this.#gzip.end()
  }
}
