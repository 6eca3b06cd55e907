import { hash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { randomString } from '../../util/random.js'
import type { UserId } from '../../protocol/ids.js'

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const CHECKSUM_LENGTH = 6

export type TokenKind = 'access' | 'refresh' | 'login'

const PREFIXES: Readonly<Record<TokenKind, string>> = { access: 'syt', refresh: 'syr', login: 'syl' }

/**
 * A new token in the shape that tools know from Synapse: `syt_<localpart in base64>_<20 letters>_<checksum>`. The
 * letters carry 114 bits; prefix and checksum let scanners recognise a token that has leaked.
 */
export function makeToken(kind: TokenKind, userId: UserId): string {
  const localpart = userId.slice(1, userId.indexOf(':'))
  const encoded = Buffer.from(localpart).toString('base64').replaceAll('=', '')
  const body = `${PREFIXES[kind]}_${encoded}_${randomString(20)}`
  return `${body}_${base62(crc32(body))}`
}

/** What the database knows of a token: SHA-256, in hexadecimal. A token has too many bits for guessing from it. */
export function hashToken(token: string): string {
  return hash('sha256', token)
}

function base62(value: number): string {
  let rest = value
  let digits = ''
  while (rest > 0) {
    digits = BASE62.charAt(rest % BASE62.length) + digits
    rest = Math.floor(rest / BASE62.length)
  }
  return digits.padStart(CHECKSUM_LENGTH, '0')
}
