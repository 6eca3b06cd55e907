import { parseMxcUri } from '../protocol/mxc-uri.js'
import { value } from './values.js'

/** A picture of a service at which people sign on. */
export const providerIcon = value('an mxc:// URI, such as mxc://example.org/abc', (raw) =>
  typeof raw === 'string' && parseMxcUri(raw) !== undefined ? raw : undefined,
)

/** https://spec.matrix.org/latest/client-server-api/#definition-mloginsso-flow-schema */
export const providerBrand = value(
  'a name of at most 255 of the characters a-z 0-9 _ . -, a letter first',
  (raw) => (typeof raw === 'string' && /^[a-z][a-z0-9_.-]{0,254}$/.test(raw) ? raw : undefined),
)

/**
 * Algorithms by which tokens are signed with a key that nobody else has; what is not signed is none of them.
 * https://www.rfc-editor.org/rfc/rfc7518#section-3.1
 */
export const PUBLIC_KEY_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const
