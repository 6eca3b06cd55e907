import { createPublicKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { isIP } from 'node:net'

/** A certificate and its private key, in PEM. */
export interface TestCertificate {
  readonly certificate: string
  readonly privateKey: string
}

export interface CertificateOptions {
  /** In milliseconds since the epoch; far away unless it is given. */
  readonly notAfterTs?: number
}

const LONG_AGO_TS = Date.UTC(2020, 0, 1)
const FAR_AWAY_TS = Date.UTC(2049, 0, 1)

/** Signs certificates that only those trust who are told to. */
export class TestAuthority {
  /** In PEM. */
  readonly certificate: string
  readonly #keys = makeKeys()
  #serial = 1

  constructor() {
    const names = { issuer: AUTHORITY, subject: AUTHORITY, publicKey: this.#keys.publicKey }
    const extensions = [
      extension([2, 5, 29, 19], sequence(boolean(true)), true),
      extension([2, 5, 29, 15], der(0x03, Buffer.from([0x01, 0x06])), true),
    ]
    this.certificate = this.#issue({ ...names, extensions, notAfterTs: FAR_AWAY_TS })
  }

  /** A certificate for names and IP addresses. */
  issue(names: readonly string[], options: CertificateOptions = {}): TestCertificate {
    const { publicKey, privateKey } = makeKeys()
    const certificate = this.#issue({
      issuer: AUTHORITY,
      subject: 'Test server',
      publicKey,
      notAfterTs: options.notAfterTs ?? FAR_AWAY_TS,
      extensions: [extension([2, 5, 29, 17], sequence(...names.map(alternativeName)), false)],
    })
    return { certificate, privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() }
  }

  #issue(parts: {
    issuer: string
    subject: string
    publicKey: KeyObject
    notAfterTs: number
    extensions: readonly Buffer[]
  }): string {
    const body = sequence(
      der(0xa0, integer(2)),
      integer(this.#serial++),
      ECDSA_WITH_SHA256,
      commonName(parts.issuer),
      sequence(utcTime(LONG_AGO_TS), utcTime(parts.notAfterTs)),
      commonName(parts.subject),
      parts.publicKey.export({ type: 'spki', format: 'der' }),
      der(0xa3, sequence(...parts.extensions)),
    )
    const signature = sign('sha256', body, this.#keys.privateKey)
    return toPem(sequence(body, ECDSA_WITH_SHA256, bitString(signature)))
  }
}

const AUTHORITY = 'Test authority'

function makeKeys(): { publicKey: KeyObject; privateKey: KeyObject } {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { privateKey, publicKey: createPublicKey(privateKey) }
}

// The little of ASN.1 that a certificate needs. https://www.rfc-editor.org/rfc/rfc5280

function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const content = Buffer.concat(contents)
  const { length } = content
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content])
  const bytes = length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...bytes]), content])
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return der(0x30, ...parts)
}

function integer(value: number): Buffer {
  return der(0x02, Buffer.from([value]))
}

function boolean(value: boolean): Buffer {
  return der(0x01, Buffer.from([value ? 0xff : 0]))
}

function bitString(bytes: Buffer): Buffer {
  return der(0x03, Buffer.from([0]), bytes)
}

/** All numbers but the first two are below 128 times 128. */
function objectId(numbers: readonly number[]): Buffer {
  const [first = 0, second = 0, ...rest] = numbers
  const bytes = rest.flatMap((number) => (number < 0x80 ? [number] : [0x80 | (number >> 7), number & 0x7f]))
  return der(0x06, Buffer.from([first * 40 + second, ...bytes]))
}

/** 1.2.840.10045.4.3.2, where 10045 takes two bytes. */
const ECDSA_WITH_SHA256 = sequence(objectId([1, 2, 840, 10045, 4, 3, 2]))

function commonName(text: string): Buffer {
  return sequence(der(0x31, sequence(objectId([2, 5, 4, 3]), der(0x0c, Buffer.from(text)))))
}

/** Until 2049. */
function utcTime(ts: number): Buffer {
  const digits = new Date(ts).toISOString().replace(/[-:T]/g, '').slice(2, 14)
  return der(0x17, Buffer.from(`${digits}Z`))
}

function extension(id: readonly number[], value: Buffer, isCritical: boolean): Buffer {
  return sequence(objectId(id), ...(isCritical ? [boolean(true)] : []), der(0x04, value))
}

function alternativeName(name: string): Buffer {
  const family = isIP(name)
  if (family === 0) return der(0x82, Buffer.from(name))
  if (family === 4) return der(0x87, Buffer.from(name.split('.').map(Number)))
  if (name === '::1') return der(0x87, Buffer.concat([Buffer.alloc(15), Buffer.from([1])]))
  throw new Error(`No certificates for ${name}`)
}

function toPem(bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? []
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n')
}
