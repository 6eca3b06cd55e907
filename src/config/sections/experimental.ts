import { section } from '../section.js'
import { jsonObject, withDefault } from '../values.js'

/** Proposals of which this server knows. */
const SERVED: ReadonlySet<string> = new Set([
  'msc4069_profile_inhibit_propagation',
  // On anyway.
  'msc4222_enabled',
  'msc3881_enabled',
  'msc2409_to_device_messages_enabled',
  'msc3202_transaction_extensions',
  'msc3202_device_masquerading',
  'msc4190_device_management',
  'msc4108_enabled',
  'msc4388_mode',
  'msc3575_enabled',
  'msc4306_enabled',
])

const RENDEZVOUS_MODES = ['off', 'open', 'authenticated'] as const

/** Proposals to the specification that can be switched on. */
export const experimental = section(
  { experimental_features: withDefault(jsonObject, {}) },
  ({ experimental_features: features }, context) => {
    for (const [name, content] of Object.entries(features)) {
      if (SERVED.has(name) || content === false) continue
      context.warn(['experimental_features', name], 'this proposal is not served yet')
    }
    const mode = features['msc4388_mode'] ?? 'off'
    const rendezvousMode = RENDEZVOUS_MODES.find((known) => known === mode)
    if (rendezvousMode === undefined) {
      const expectation = `expected one of ${RENDEZVOUS_MODES.join(', ')}`
      context.fail(['experimental_features', 'msc4388_mode'], expectation)
    }
    return {
      /** `msc3575_enabled`: sliding sync, which newer clients cannot do without; on unless it is switched off. */
      slidingSync: features['msc3575_enabled'] !== false,
      /** `msc4306_enabled`: subscriptions to threads. */
      threadSubscriptions: features['msc4306_enabled'] === true,
      /** `msc4108_enabled`: devices meet at a URL. */
      rendezvousByUrl: features['msc4108_enabled'] === true,
      /** `msc4388_mode`: who may begin a rendezvous session. */
      rendezvousMode: rendezvousMode ?? 'off',
      /** `msc4069_profile_inhibit_propagation`: changes of profiles may be kept out of memberships. */
      profileInhibitPropagation: features['msc4069_profile_inhibit_propagation'] === true,
    }
  },
)
