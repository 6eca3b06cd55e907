import { performance } from 'node:perf_hooks'
import type { HomeserverConfig } from '../config/homeserver-config.js'
import { AuthenticationServiceClient } from '../net/clients/authentication-service-client.js'
import type { HttpClient } from '../net/http-client.js'
import { AuthenticationService } from '../services/accounts/authentication-service.js'
import type { Logger } from '../telemetry/logger.js'
import type { Metrics } from '../telemetry/metrics.js'
import type { Clock } from '../util/clock.js'

/** The service in whose hands accounts are. */
export interface Delegation {
  readonly client: AuthenticationServiceClient
  readonly service: AuthenticationService
  readonly logger: Logger
}

/** Undefined where accounts are in the server's own hands. `toOwn`: reaches what the operator names. */
export function createDelegation(parts: {
  readonly config: HomeserverConfig
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: Metrics
  readonly toOwn: HttpClient
}): Delegation | undefined {
  const { service } = parts.config.authenticationService
  if (service === undefined) return undefined
  const { clock } = parts
  const logger = parts.logger.child({ component: 'authentication-service' })
  const times = parts.metrics.histogram({
    name: 'synapse_api_auth_delegated_introspection_response',
    help: 'From the question whose a token is to the answer, in seconds',
  })
  const client = new AuthenticationServiceClient(parts.toOwn, {
    ...service,
    monotonicMs: () => performance.now(),
    onIntrospected: (code, ms) => times.observe(ms / 1000, { code }),
  })
  const { secret } = service
  return { client, logger, service: new AuthenticationService({ clock, client, logger, secret }) }
}
