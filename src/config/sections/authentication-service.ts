import { section } from '../section.js'
import { flag, group, httpUrl, optional, text, withDefault } from '../values.js'

/** What can stand behind `Bearer` in a header. */
const TOKEN = /^[\x21-\x7e]+$/

/** `matrix_authentication_service`: another service has the accounts and sessions of this server in its hands. */
export const authenticationService = section(
  {
    matrix_authentication_service: group({
      enabled: withDefault(flag, false),
      endpoint: withDefault(httpUrl, 'http://localhost:8080/'),
      force_http2: withDefault(flag, false),
      secret: optional(text),
    }),
  },
  ({ matrix_authentication_service: { enabled, endpoint, force_http2: forceHttp2, secret } }, context) => {
    if (!enabled) return { service: undefined }
    const at = (key: string) => ['matrix_authentication_service', key]
    if (secret === undefined || secret === '') {
      context.fail(
        at('secret'),
        'is missing: set it, or secret_path, to what the service calls matrix.secret',
      )
    } else if (!TOKEN.test(secret)) {
      context.fail(at('secret'), 'expected ASCII characters without spaces')
    }
    if (forceHttp2) context.warn(at('force_http2'), 'has no effect: the service is asked by HTTP/1.1')
    return {
      /** Undefined: accounts are in the server's own hands. */
      service: {
        /** Where this server finds it, without a slash at the end. */
        endpoint: endpoint.replace(/\/+$/, ''),
        /** By which each of the two knows the other. */
        secret: secret ?? '',
      },
    }
  },
)
