import { loadSigningKeys } from '../../config/signing-key-file.js'
import type { DoctorCheck } from './doctor-check.js'
import { ok, warning, type Finding } from './finding.js'

const MINUTE_MS = 60_000

/** The keys with which the server signs, as far as this machine knows. What others see of them: `federation`. */
export const checkKeys: DoctorCheck = {
  name: 'keys',
  summary: 'the keys with which the server signs',
  usesNetwork: false,
  async run({ config, clock }) {
    const { current } = await loadSigningKeys(config.signingKeys)
    const findings: Finding[] = []
    const currentIds = new Set<string>(current.map(({ keyId }) => keyId))
    for (const { keyId, expiredTs } of config.signingKeys.old) {
      if (currentIds.has(keyId)) {
        findings.push(
          warning(`${keyId} is in old_signing_keys, and the server still signs with a key of that ID`, {
            consequence: 'others may take what is signed now for a forgery',
            cure: `take ${keyId} out of old_signing_keys, or make a new key: mxhs keys generate`,
          }),
        )
      } else if (expiredTs > clock.now() + MINUTE_MS) {
        findings.push(
          warning(
            `${keyId} is in old_signing_keys and has not expired: ${new Date(expiredTs).toISOString()}`,
            {
              consequence: 'until then, whoever has the old key can sign in the name of the server',
              cure: `set expired_ts of ${keyId} to when it was last used, in milliseconds since 1970`,
            },
          ),
        )
      }
    }
    const { validityMs } = config.signingKeys
    if (validityMs < 10 * MINUTE_MS) {
      findings.push(
        warning(`key_refresh_interval is ${Math.round(validityMs / 1000)} seconds`, {
          consequence: 'other servers ask for the keys all the time',
          cure: 'key_refresh_interval: 1d',
        }),
      )
    }
    return [ok(`signs with ${current.map(({ keyId }) => keyId).join(', ')}`), ...findings]
  },
}
