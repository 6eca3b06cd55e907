/**
 * Unsigned integers up to 2^53 − 1 as LEB128 bytes: 7 bits a byte, lowest first, high bit set on all but the last.
 */
export class VarintWriter {
  #bytes: Buffer
  #length = 0

  constructor(sizeHint = 64) {
    this.#bytes = Buffer.allocUnsafe(Math.max(16, sizeHint))
  }

  write(value: number): void {
    if (this.#length + 8 > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(this.#bytes.length * 2)
      this.#bytes.copy(larger, 0, 0, this.#length)
      this.#bytes = larger
    }
    let rest = value
    while (rest >= 128) {
      this.#bytes[this.#length++] = (rest % 128) + 128
      rest = Math.floor(rest / 128)
    }
    this.#bytes[this.#length++] = rest
  }

  /** What was written so far, as a copy. */
  finish(): Buffer {
    return Buffer.from(this.#bytes.subarray(0, this.#length))
  }
}

/** Reads what `VarintWriter` wrote. Reading past the end throws a RangeError. */
export class VarintReader {
  readonly #bytes: Uint8Array
  #offset = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get done(): boolean {
    return this.#offset >= this.#bytes.length
  }

  read(): number {
    let value = 0
    let scale = 1
    for (;;) {
      const byte = this.#bytes[this.#offset++]
      if (byte === undefined) throw new RangeError('A varint ends before its last byte')
      value += (byte & 127) * scale
      if (byte < 128) return value
      scale *= 128
    }
  }
}
