import { examineModules } from '../../server/wire-modules.js'
import type { DoctorCheck } from './doctor-check.js'
import { failure, info, ok } from './finding.js'

/** Whether what stands in the place of Synapse's modules can be reached, and answers. */
export const checkModules: DoctorCheck = {
  name: 'modules',
  summary: 'directories and services that modules name',
  usesNetwork: true,
  async run({ config, clock, http, network }) {
    const examined = await examineModules({ config, clock, http, dns: network.dialing.dns })
    if (examined.length === 0) return [info('no module names a directory or a service')]
    return examined.map(({ what, place, problem }) =>
      problem === undefined
        ? ok(`${what} (${place}) answers`)
        : failure(`${what} (${place}): ${problem}`, {
            consequence: what.endsWith('spam')
              ? 'what it is asked about is refused, unless fail_open says otherwise'
              : 'nobody can log in whose password only it knows',
            cure: 'correct what modules says of it, or let this machine reach it',
          }),
    )
  },
}
