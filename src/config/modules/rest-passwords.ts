import { flag, group, httpUrl, withDefault } from '../values.js'
import { moduleKind } from './module-kind.js'

/**
 * People log in with the password that a service has of them, mostly an identity server such as ma1sd.
 * https://github.com/ma1uta/matrix-synapse-rest-password-provider
 */
export const restPasswords = moduleKind({
  classes: ['rest_auth_provider.RestAuthProvider'],
  inner: {
    policy: ['registration', 'login', 'all'],
    'policy.registration': ['username', 'profile'],
    'policy.registration.username': ['enforceLowercase'],
    'policy.registration.profile': ['name'],
    'policy.login': ['profile'],
    'policy.login.profile': ['name'],
    'policy.all': ['threepid'],
    'policy.all.threepid': ['update', 'replace'],
  },
  keys: {
    endpoint: httpUrl,
    // `enforceLowercase` says what is so anyway: names are in lower case.
    policy: group({
      registration: group({
        username: group({ enforceLowercase: withDefault(flag, true) }),
        profile: group({ name: withDefault(flag, true) }),
      }),
      login: group({ profile: group({ name: withDefault(flag, false) }) }),
      all: group({ threepid: group({ update: withDefault(flag, true), replace: withDefault(flag, false) }) }),
    }),
  },
  build({ endpoint, policy: { registration, login, all } }) {
    return {
      kind: 'rest' as const,
      /** Without slashes at its end. */
      endpoint: endpoint.replace(/\/+$/, ''),
      namesNewcomers: registration.profile.name,
      /** At each login, the display name becomes what the service says. */
      namesAlways: login.profile.name,
      /** At each login, addresses that the service knows are added. */
      addsAddresses: all.threepid.update,
      /** And those that it does not know are removed. */
      removesAddresses: all.threepid.update && all.threepid.replace,
    }
  },
})
