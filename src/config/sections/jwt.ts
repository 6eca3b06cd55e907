import { createPublicKey, type KeyObject } from 'node:crypto'
import type { KeyPath } from '../config-error.js'
import { PUBLIC_KEY_ALGORITHMS } from '../identity-provider-values.js'
import { section } from '../section.js'
import { choice, flag, group, listOf, optional, text, withDefault } from '../values.js'

/** Those of a secret that both sides share, and those of a key that only one has. */
const ALGORITHMS = ['HS256', 'HS384', 'HS512', ...PUBLIC_KEY_ALGORITHMS] as const

export type JwtAlgorithm = (typeof ALGORITHMS)[number]

const MIN_RSA_BITS = 2048
const CURVES: Readonly<Record<string, string>> = {
  ES256: 'prime256v1',
  ES384: 'secp384r1',
  ES512: 'secp521r1',
}

/** `jwt_config`: another service says by a signed token who somebody is. */
export const jwt = section(
  {
    jwt_config: optional(
      group({
        enabled: withDefault(flag, false),
        secret: optional(text),
        algorithm: optional(choice(...ALGORITHMS)),
        subject_claim: withDefault(text, 'sub'),
        display_name_claim: optional(text),
        issuer: optional(text),
        audiences: optional(listOf(text, 'a list of audiences')),
      }),
    ),
  },
  ({ jwt_config: raw }, { fail }) => {
    if (raw?.enabled !== true) return { login: undefined }
    const at = (key: string): KeyPath => ['jwt_config', key]
    const { secret, algorithm, audiences } = raw
    if (algorithm === undefined) fail(at('algorithm'), `is missing: expected one of ${ALGORITHMS.join(', ')}`)
    if (secret === undefined || secret === '') {
      fail(at('secret'), 'is missing: expected what tokens are signed with, or the public key')
    } else if (algorithm !== undefined) {
      const problem = problemOfKey(secret, algorithm)
      if (problem !== undefined) fail(at('secret'), problem)
    }
    if (audiences?.length === 0) fail(at('audiences'), 'expected at least one audience')
    return {
      /** Undefined: nobody logs in with a token of another service. */
      login: {
        /** Shared with the service, or the service's public key in PEM: which of both, the algorithm says. */
        secret: secret ?? '',
        algorithm: algorithm ?? 'HS256',
        /** Which claim is the localpart. */
        subjectClaim: raw.subject_claim,
        /** Which claim is the display name of an account that is made. */
        displayNameClaim: raw.display_name_claim,
        issuer: raw.issuer,
        audiences,
      },
    }
  },
)

/** Whether that is a key for this algorithm: one that is public must never count as a shared secret. */
function problemOfKey(secret: string, algorithm: JwtAlgorithm): string | undefined {
  const isPem = secret.trimStart().startsWith('-----BEGIN')
  if (algorithm.startsWith('HS')) {
    return isPem ? `this is a key in PEM: ${algorithm} takes a secret that both sides share` : undefined
  }
  if (!isPem) return `expected a public key in PEM for ${algorithm}`
  let key: KeyObject
  try {
    key = createPublicKey(secret)
  } catch {
    return 'expected a public key in PEM: this cannot be read'
  }
  return fits(key, algorithm) ? undefined : `this key is not one for ${algorithm}`
}

function fits(key: KeyObject, algorithm: JwtAlgorithm): boolean {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key
  if (algorithm.startsWith('ES')) return type === 'ec' && details?.namedCurve === CURVES[algorithm]
  if (algorithm === 'EdDSA' || algorithm === 'Ed25519') return type === 'ed25519'
  return type === 'rsa' && (details?.modulusLength ?? 0) >= MIN_RSA_BITS
}
