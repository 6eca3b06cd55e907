import { AppserviceRefusal, type AppserviceClient } from '../../net/clients/appservice-client.js'
import { HttpFailure } from '../../net/http-failure.js'
import { forbidden, MatrixError } from '../../protocol/errors.js'
import type { AppserviceRegistry } from './appservice-registry.js'

export interface AppservicePingsDependencies {
  readonly registry: AppserviceRegistry
  readonly client: Pick<AppserviceClient, 'ping'>
  /** Milliseconds from any moment on; only differences count. */
  readonly monotonicMs: () => number
  /** Called with a service that has answered. */
  readonly onAlive: (appserviceId: string) => void
}

/** Lets services see whether they can be reached. https://spec.matrix.org/latest/application-service-api/#pinging */
export class AppservicePings {
  readonly #deps: AppservicePingsDependencies

  constructor(deps: AppservicePingsDependencies) {
    this.#deps = deps
  }

  /**
   * Gives how long it took, in whole milliseconds. Throws `M_FORBIDDEN` for others than the service itself,
   * `M_URL_NOT_SET`, `M_BAD_STATUS` with the answer, `M_CONNECTION_TIMEOUT`, `M_CONNECTION_FAILED`.
   */
  async ping(
    requesterAppserviceId: string | undefined,
    appserviceId: string,
    txnId: string | undefined,
  ): Promise<number> {
    const { registry, client, monotonicMs, onAlive } = this.#deps
    const registration = registry.get(appserviceId)
    if (requesterAppserviceId !== appserviceId || registration === undefined) {
      throw forbidden('An application service may ping itself only')
    }
    if (registration.url === undefined) {
      throw new MatrixError('M_URL_NOT_SET', 'The application service has no URL')
    }
    const started = monotonicMs()
    try {
      await client.ping(registration, txnId)
    } catch (error) {
      throw toMatrixError(error)
    }
    onAlive(appserviceId)
    return Math.round(monotonicMs() - started)
  }
}

function toMatrixError(error: unknown): unknown {
  if (error instanceof AppserviceRefusal) {
    const fields = { status: error.status, body: error.body }
    return new MatrixError('M_BAD_STATUS', `The application service answered ${error.status}`, { fields })
  }
  if (!(error instanceof HttpFailure)) return error
  return error.kind === 'timeout'
    ? new MatrixError('M_CONNECTION_TIMEOUT', 'The application service did not answer in time')
    : new MatrixError('M_CONNECTION_FAILED', `The application service cannot be reached: ${error.message}`)
}
