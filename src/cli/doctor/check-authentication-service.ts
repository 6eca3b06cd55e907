import type { HomeserverConfig } from '../../config/homeserver-config.js'
import {
  AuthenticationServiceClient,
  AuthenticationServiceError,
} from '../../net/clients/authentication-service-client.js'
import { HttpFailure } from '../../net/http-failure.js'
import { isJsonObject } from '../../util/json.js'
import type { DoctorCheck, DoctorContext } from './doctor-check.js'
import { failure, info, ok, warning, type Finding } from './finding.js'
import { askPublicly, jsonOf } from './public-address.js'

type Service = NonNullable<HomeserverConfig['authenticationService']['service']>

/** Whether the service that has the accounts answers, and is where clients look for it. */
export const checkAuthenticationService: DoctorCheck = {
  name: 'authentication-service',
  summary: 'the service that has the accounts, and whether clients are led to it',
  usesNetwork: true,
  async run(context) {
    const { service } = context.config.authenticationService
    if (service === undefined) return [info('the accounts are in the hands of this server')]
    const client = new AuthenticationServiceClient(context.http, service)
    return Promise.all([askForMetadata(client, service), askForToken(client, service), askForLogin(context)])
  },
}

async function askForMetadata(client: AuthenticationServiceClient, service: Service): Promise<Finding> {
  try {
    const { issuer } = await client.fetchMetadata()
    return ok(`${service.endpoint} answers as ${issuer}`)
  } catch (error) {
    return failure(`${service.endpoint}: ${reasonOf(error)}`, {
      consequence: 'nobody can log in, and clients find no way to',
      cure: 'start the service, and let matrix_authentication_service.endpoint be where this server reaches it',
    })
  }
}

/** A token that is none must be known as such. */
async function askForToken(client: AuthenticationServiceClient, service: Service): Promise<Finding> {
  try {
    const { isActive } = await client.introspect('mxhs-doctor-asks-for-a-token-that-is-none')
    if (!isActive) return ok(`${service.endpoint} takes the secret`)
    return failure(`${service.endpoint} takes any token for a good one`, {
      consequence: 'anybody can act as anybody: it is no authentication service',
      cure: 'correct matrix_authentication_service.endpoint',
    })
  } catch (error) {
    return failure(`${service.endpoint} does not say whose tokens are: ${reasonOf(error)}`, {
      consequence: 'all requests of people fail with status 503',
      cure: 'matrix_authentication_service.secret must be what matrix.secret says in the configuration of the service',
    })
  }
}

/** The reverse proxy has to lead what begins sessions of old to the service. */
async function askForLogin(context: DoctorContext): Promise<Finding> {
  const path = '/_matrix/client/v3/login'
  const reply = await askPublicly(context, path)
  const trouble = {
    consequence: 'clients that do not know OAuth 2.0 cannot log in, log out or renew their tokens',
    cure: 'pass /_matrix/client/*/login, logout and refresh on to the service: see docs/authentication-service.md',
  }
  if (typeof reply === 'string') return warning(`${path}: ${reply}`, trouble)
  const flows = jsonOf(reply)?.['flows']
  if (reply.status === 200 && Array.isArray(flows) && flows.some(isOfService)) {
    return ok(`${path} is answered by the service`)
  }
  return warning(`${path} is not answered by the service (status ${reply.status})`, trouble)
}

/** How the service shows that logins of old lead to it. */
function isOfService(flow: unknown): boolean {
  if (!isJsonObject(flow)) return false
  return (
    flow['oauth_aware_preferred'] === true || flow['org.matrix.msc3824.delegated_oidc_compatibility'] === true
  )
}

function reasonOf(error: unknown): string {
  if (error instanceof AuthenticationServiceError || error instanceof HttpFailure) return error.message
  throw error
}
