const EITHER_ALPHABET = /^[A-Za-z0-9+/_-]*={0,2}$/

/** Standard Base64 without padding. https://spec.matrix.org/latest/appendices/#unpadded-base64 */
export function encodeBase64(bytes: Uint8Array): string {
  return stripPadding(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64'))
}

/** URL-safe Base64 without padding. https://spec.matrix.org/latest/appendices/#url-safe-unpadded-base64 */
export function encodeUrlSafeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url')
}

/** The bytes of standard or URL-safe Base64 with or without padding, as others send it; undefined when it is none. */
export function decodeBase64(text: string): Buffer | undefined {
  // Buffer skips what it does not know, so two different texts would be the same bytes.
  if (!EITHER_ALPHABET.test(text) || stripPadding(text).length % 4 === 1) return undefined
  return Buffer.from(text, 'base64')
}

/** Base64 without the `=` at its end. */
export function stripPadding(text: string): string {
  let end = text.length
  while (end > 0 && text.charCodeAt(end - 1) === 61) end -= 1
  return end === text.length ? text : text.slice(0, end)
}
