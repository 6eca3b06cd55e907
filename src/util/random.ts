import { randomBytes } from 'node:crypto'

export const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
export const UPPER_LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'
export const LETTERS_AND_DIGITS = `${LETTERS}0123456789`

/** `length` characters of `alphabet` (at most 256 of them), each equally likely, from the system's secure source. */
export function randomString(length: number, alphabet: string = LETTERS): string {
  // Bytes at or above the largest multiple of the alphabet's size would favour its first characters.
  const limit = 256 - (256 % alphabet.length)
  let result = ''
  while (result.length < length) {
    for (const byte of randomBytes(length - result.length + 8)) {
      if (byte < limit && result.length < length) result += alphabet.charAt(byte % alphabet.length)
    }
  }
  return result
}

/** An unguessable opaque string of letters: 24 of them carry 136 bits. */
export function randomToken(length = 24): string {
  return randomString(length)
}

/** 32 unguessable bytes: a private key of Ed25519. */
export function randomSeed(): Uint8Array {
  return randomBytes(32)
}

/** The part of a room ID before the server name. */
export function randomRoomLocalpart(): string {
  return randomString(18)
}

/** A number from 0 (included) to 1 (excluded); for spreading work, never for secrets. */
export function randomFraction(): number {
  return Math.random()
}
