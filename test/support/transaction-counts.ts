import { createMetrics, type Metrics } from '../../src/telemetry/metrics.js'

/** Measures every transaction of a database. */
const TRANSACTION_TIME = 'synapse_storage_transaction_time'

/** Metrics for a server of which a test wants to know whether it has had anything to do with its database. */
export class TransactionCounts {
  readonly metrics: Metrics
  #ended = 0

  constructor() {
    const metrics = createMetrics()
    this.metrics = {
      counter: (options) => metrics.counter(options),
      gauge: (options) => metrics.gauge(options),
      histogram: (options) => {
        const histogram = metrics.histogram(options)
        if (options.name !== TRANSACTION_TIME) return histogram
        return {
          observe: (value, labels) => {
            this.#ended++
            histogram.observe(value, labels)
          },
        }
      },
      observed: (options, read) => metrics.observed(options, read),
      render: () => metrics.render(),
    }
  }

  /** How many transactions have ended, of whatever kind: nothing is written outside of them. */
  get ended(): number {
    return this.#ended
  }
}
