import type { AppserviceRegistration } from '../../protocol/appservice-registration.js'
import type { StreamName } from '../../storage/streams/stream-names.js'
import type { AppserviceRegistry } from '../appservices/appservice-registry.js'
import type { PositionHints, PositionSink } from '../streams/notifier.js'
import type { AppserviceAudience } from './appservice-audience.js'
import { AppserviceQueue, type AppserviceQueueDependencies } from './appservice-queue.js'

export interface AppserviceSenderDependencies extends AppserviceQueueDependencies {
  readonly registry: AppserviceRegistry
  readonly audience: Pick<AppserviceAudience, 'onNewPosition'>
  readonly onError: (error: unknown) => void
}

/** Streams that only those follow who want what passes by. */
const EPHEMERAL: ReadonlySet<StreamName> = new Set(['receipts', 'presence', 'typing', 'to_device'])

/** Tells application services what happens: a queue for each. */
export class AppserviceSender implements PositionSink {
  readonly #deps: AppserviceSenderDependencies
  #queues: ReadonlyMap<string, AppserviceQueue> = new Map()
  #isRunning = false

  constructor(deps: AppserviceSenderDependencies) {
    this.#deps = deps
    deps.registry.onChange((registrations) => {
      if (this.#isRunning) this.#takeOn(registrations)
    })
  }

  start(): void {
    this.#isRunning = true
    this.#takeOn(this.#deps.registry.list())
  }

  async stop(): Promise<void> {
    this.#isRunning = false
    await Promise.all([...this.#queues.values()].map((queue) => queue.stop()))
  }

  onNewPosition(stream: StreamName, hints: PositionHints): void {
    this.#deps.audience.onNewPosition(stream, hints)
    if (!this.#isRunning) return
    for (const queue of this.#queues.values()) {
      const { receivesEphemeral, receivesDeviceLists } = queue.registration
      if (
        stream === 'events' ||
        (receivesEphemeral && EPHEMERAL.has(stream)) ||
        (receivesDeviceLists && stream === 'device_lists')
      ) {
        queue.wake()
      }
    }
  }

  /** A service is known to be there: what waits to be sent again is sent now. */
  retryNow(appserviceId: string): void {
    this.#queues.get(appserviceId)?.retryNow()
  }

  /** Resolves when nothing is being sent. For tests. */
  async settle(): Promise<void> {
    await Promise.all([...this.#queues.values()].map((queue) => queue.settle()))
  }

  /** Queues of services that are the same go on. */
  #takeOn(registrations: readonly AppserviceRegistration[]): void {
    const old = this.#queues
    const queues = new Map<string, AppserviceQueue>()
    for (const registration of registrations) {
      if (registration.url === undefined) continue
      const known = old.get(registration.id)
      if (known?.registration === registration) queues.set(registration.id, known)
      else queues.set(registration.id, new AppserviceQueue(registration, this.#deps))
    }
    this.#queues = queues
    const gone = [...old].filter(([id, queue]) => queues.get(id) !== queue)
    // The new queue of a service must not begin before the old one has written down how far it has come.
    Promise.all(gone.map(([, queue]) => queue.stop()))
      .then(() => {
        if (this.#isRunning) for (const queue of queues.values()) queue.wake()
      })
      .catch(this.#deps.onError)
  }
}
