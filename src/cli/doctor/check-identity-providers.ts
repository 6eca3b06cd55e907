import { examineCas } from '../../server/wire-identity-providers.js'
import { examineOidcProviders } from '../../server/wire-oidc.js'
import type { DoctorCheck } from './doctor-check.js'
import { failure, info, ok } from './finding.js'

const SILENT = { info: () => undefined, warn: () => undefined, error: () => undefined }

/** Whether the services answer at which people sign on, and can be used. */
export const checkIdentityProviders: DoctorCheck = {
  name: 'identity-providers',
  summary: 'the services at which people sign on',
  usesNetwork: true,
  async run({ config, clock, http }) {
    const parts = { config, clock, logger: SILENT, http: { toOwn: http } }
    const cas = await examineCas(parts)
    const providers = await examineOidcProviders(parts)
    const found = [
      ...(cas === undefined ? [] : [{ ...cas, keys: 'cas_config' }]),
      ...providers.map(({ issuer: url, ...rest }) => ({ ...rest, url, keys: 'oidc_providers' })),
    ]
    if (found.length === 0) return [info('there are no oidc_providers and no cas_config')]
    return found.map(({ name, url, problem, keys }) =>
      problem === undefined
        ? ok(`${name} (${url}) can be used`)
        : failure(`${name} (${url}): ${problem}`, {
            consequence: 'nobody can sign on there',
            cure: `correct what ${keys} says of it, or let this machine reach it (firewall, https_proxy)`,
          }),
    )
  },
}
