import { section } from '../section.js'
import { jsonObject, withDefault } from '../values.js'

/** Proposals of which this server knows. */
const SERVED: ReadonlySet<string> = new Set([
  'msc4069_profile_inhibit_propagation',
  // On anyway.
  'msc4222_enabled',
])

/** Proposals to the specification that can be switched on. */
export const experimental = section(
  { experimental_features: withDefault(jsonObject, {}) },
  ({ experimental_features: features }, context) => {
    for (const [name, content] of Object.entries(features)) {
      if (SERVED.has(name) || content === false) continue
      context.warn(['experimental_features', name], 'this proposal is not served yet')
    }
    return {
      /** `msc4069_profile_inhibit_propagation`: changes of profiles may be kept out of memberships. */
      profileInhibitPropagation: features['msc4069_profile_inhibit_propagation'] === true,
    }
  },
)
