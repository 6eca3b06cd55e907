import { createHash, createHmac } from 'node:crypto'

/** Kinds of messages. https://www.rfc-editor.org/rfc/rfc8489#section-5, https://www.rfc-editor.org/rfc/rfc8656#section-17 */
export const STUN_TYPE = {
  bindingRequest: 0x0001,
  bindingSuccess: 0x0101,
  allocateRequest: 0x0003,
  allocateSuccess: 0x0103,
  allocateError: 0x0113,
  refreshRequest: 0x0004,
} as const

/** Kinds of attributes. */
export const STUN_ATTRIBUTE = {
  username: 0x0006,
  messageIntegrity: 0x0008,
  errorCode: 0x0009,
  lifetime: 0x000d,
  realm: 0x0014,
  nonce: 0x0015,
  requestedTransport: 0x0019,
  xorMappedAddress: 0x0020,
} as const

const MAGIC_COOKIE = 0x2112a442
const HEADER_BYTES = 20
const INTEGRITY_BYTES = 24

export interface StunMessage {
  readonly type: number
  /** 12 bytes that an answer repeats. */
  readonly transactionId: Buffer
  readonly attributes: ReadonlyMap<number, Buffer>
}

/** With `integrityKey`, the message proves that its sender knows the key. */
export function encodeStunMessage(message: StunMessage, integrityKey?: Buffer): Buffer {
  const attributes = [...message.attributes].map(([type, value]) => encodeAttribute(type, value))
  const body = Buffer.concat(attributes)
  const signed = integrityKey === undefined ? 0 : INTEGRITY_BYTES
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeUInt16BE(message.type, 0)
  // What is signed counts the signature's length already.
  header.writeUInt16BE(body.length + signed, 2)
  header.writeUInt32BE(MAGIC_COOKIE, 4)
  message.transactionId.copy(header, 8)
  const encoded = Buffer.concat([header, body])
  if (integrityKey === undefined) return encoded
  const integrity = createHmac('sha1', integrityKey).update(encoded).digest()
  return Buffer.concat([encoded, encodeAttribute(STUN_ATTRIBUTE.messageIntegrity, integrity)])
}

function encodeAttribute(type: number, value: Buffer): Buffer {
  const encoded = Buffer.alloc(4 + Math.ceil(value.length / 4) * 4)
  encoded.writeUInt16BE(type, 0)
  encoded.writeUInt16BE(value.length, 2)
  value.copy(encoded, 4)
  return encoded
}

/** The message that begins there, and where it ends; undefined while it is not whole, or where there is none. */
export function decodeStunMessage(data: Buffer): (StunMessage & { readonly length: number }) | undefined {
  if (data.length < HEADER_BYTES || data.readUInt32BE(4) !== MAGIC_COOKIE) return undefined
  const length = HEADER_BYTES + data.readUInt16BE(2)
  if (data.length < length) return undefined
  const attributes = new Map<number, Buffer>()
  for (let at = HEADER_BYTES; at + 4 <= length;) {
    const type = data.readUInt16BE(at)
    const end = at + 4 + data.readUInt16BE(at + 2)
    if (end > length) break
    if (!attributes.has(type)) attributes.set(type, data.subarray(at + 4, end))
    at += Math.ceil((end - at) / 4) * 4
  }
  return { type: data.readUInt16BE(0), transactionId: data.subarray(8, 20), attributes, length }
}

/** The key of long-term credentials. https://www.rfc-editor.org/rfc/rfc8489#section-9.2.2 */
export function longTermKey(username: string, realm: string, password: string): Buffer {
  return createHash('md5').update(`${username}:${realm}:${password}`).digest()
}

/** `ERROR-CODE`: its number, as in 401; undefined where there is none. */
export function errorCodeOf({ attributes }: StunMessage): number | undefined {
  const value = attributes.get(STUN_ATTRIBUTE.errorCode)
  if (value === undefined || value.length < 4) return undefined
  return (value[2]! & 7) * 100 + value[3]!
}
