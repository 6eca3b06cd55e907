import type { ServerName } from '../../protocol/ids.js'
import type { Gauge, Metrics } from '../../telemetry/metrics.js'

interface Dependencies {
  readonly metrics: Metrics
  readonly serverName: ServerName
  /** `federation_metrics_domains` */
  readonly domains: ReadonlySet<string>
}

/**
 * Shows of some servers when the newest event was made that they have taken, and that they have sent: how far federation
 * with them lags behind.
 */
export class EventAges {
  readonly #deps: Dependencies
  readonly #sent: Gauge
  readonly #received: Gauge

  constructor(deps: Dependencies) {
    this.#deps = deps
    this.#sent = deps.metrics.gauge({
      name: 'synapse_federation_last_sent_pdu_time',
      help: 'The timestamp of the last PDU which was successfully sent to the given domain',
    })
    this.#received = deps.metrics.gauge({
      name: 'synapse_federation_last_received_pdu_time',
      help: 'The timestamp of the last PDU which was successfully received from the given domain',
    })
  }

  /** A server has taken events; `ts`: when the last of them was made, in milliseconds. */
  onSent(destination: ServerName, ts: number): void {
    const { domains, serverName } = this.#deps
    if (!domains.has(destination)) return
    this.#sent.set(ts / 1000, { destination_server_name: destination, server_name: serverName })
  }

  /** A server has sent events; `ts`: when the newest of them was made, in milliseconds. */
  onReceived(origin: ServerName, ts: number): void {
    const { domains, serverName } = this.#deps
    if (!domains.has(origin)) return
    this.#received.set(ts / 1000, { origin_server_name: origin, server_name: serverName })
  }
}
