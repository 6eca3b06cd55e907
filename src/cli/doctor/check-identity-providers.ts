import { examineOidcProviders } from '../../server/wire-oidc.js'
import type { DoctorCheck } from './doctor-check.js'
import { failure, info, ok } from './finding.js'

const SILENT = { info: () => undefined, warn: () => undefined, error: () => undefined }

/** Whether the providers of OpenID Connect answer at which people sign on, and can be used. */
export const checkIdentityProviders: DoctorCheck = {
  name: 'identity-providers',
  summary: 'the providers of OpenID Connect at which people sign on',
  usesNetwork: true,
  async run({ config, clock, http }) {
    if (config.oidc.providers.length === 0) return [info('there are no oidc_providers')]
    const found = await examineOidcProviders({ config, clock, logger: SILENT, http: { toOwn: http } })
    return found.map(({ name, issuer, problem }) =>
      problem === undefined
        ? ok(`${name} (${issuer}) can be used`)
        : failure(`${name} (${issuer}): ${problem}`, {
            consequence: 'nobody can sign on there',
            cure: 'correct what oidc_providers says of it, or let this machine reach it (firewall, https_proxy)',
          }),
    )
  },
}
