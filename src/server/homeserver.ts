import { setMaxListeners } from 'node:events'
import { loadAuthorities } from '../config/authority-files.js'
import { controlSocketPlace } from '../config/control-socket-path.js'
import type { HomeserverConfig } from '../config/homeserver-config.js'
import { loadSigningKeys } from '../config/signing-key-file.js'
import type { Pipeline } from '../http/pipeline.js'
import { createSystemDns, type Dns } from '../net/dns.js'
import type { ServerName } from '../protocol/ids.js'
import { RotatingSigner } from '../protocol/rotating-signer.js'
import { AppserviceRegistry } from '../services/appservices/appservice-registry.js'
import { RatelimitOverrides } from '../services/accounts/ratelimit-overrides.js'
import { RateLimits } from '../services/accounts/ratelimits.js'
import type { Services } from '../services/services.js'
import { PeriodicTasks } from '../services/tasks/periodic-tasks.js'
import { RatelimitOverridesStore } from '../storage/stores/ratelimit-overrides.js'
import { refuseUnfinishedTakeover } from '../storage/stores/takeover.js'
import { createLogger, type LogOutput } from '../telemetry/logger.js'
import { createMetrics, type Metrics } from '../telemetry/metrics.js'
import { systemClock, type Clock } from '../util/clock.js'
import { randomFraction } from '../util/random.js'
import { createControlMethods } from './control-methods.js'
import { openControlSocket, type ControlSocket } from './control-socket.js'
import { startBackground, stopBackground } from './lifecycle.js'
import { Listeners, type ListenerAddress } from './listeners.js'
import { scheduleMaintenance } from './maintenance.js'
import { programVersion } from './program-version.js'
import { loadAppservices } from './wire-appservices.js'
import { createPipeline, createRequestListener } from './wire-http.js'
import { createServices, type WiredServices } from './wire-services.js'
import { openStorage, type Storage } from './wire-storage.js'

/** What commands and tests put in the place of the usual parts. */
export interface HomeserverOverrides {
  /** Where the log goes; standard output by default. Whoever gives it closes it. */
  readonly log?: LogOutput
  readonly clock?: Clock
  readonly metrics?: Metrics
  /** Where other servers are. */
  readonly dns?: Dns
  /** Reads the configuration again and takes it on, as at SIGHUP; gives what there is to warn of. */
  readonly rereadConfig?: () => Promise<readonly string[]>
}

/** What runs at the end is given this long. */
const DRAIN_MS = 15_000
/** And sockets this long to take their last bytes. */
const CLOSE_MS = 2_000
/** Other servers have this long to answer what they are asked. */
const ASKING_MS = 5_000

interface HomeserverParts {
  readonly config: HomeserverConfig
  readonly log: LogOutput
  readonly clock: Clock
  readonly storage: Storage
  readonly wired: WiredServices
  readonly rateLimits: RateLimits
  readonly signer: RotatingSigner
  readonly registry: AppserviceRegistry
  readonly pipeline: Pipeline
  readonly stopping: AbortController
  /** Undefined where commands cannot reach the server. */
  readonly control: ControlSocket | undefined
  readonly rereadConfig: HomeserverOverrides['rereadConfig']
}

/**
 * Builds a server: opens its database, brings the schema up to date and constructs all services. Nothing listens before
 * `start()`. Rejects when the database cannot be used; then nothing is left open.
 */
export async function createHomeserver(
  config: HomeserverConfig,
  overrides: HomeserverOverrides = {},
): Promise<Homeserver> {
  const log = overrides.log ?? (await createLogger({ level: 'info' }))
  const clock = overrides.clock ?? systemClock
  const metrics = overrides.metrics ?? createMetrics({ processMetrics: config.metrics.enabled })
  const { logger } = log
  const stopping = new AbortController()
  // Every request that waits for something listens.
  setMaxListeners(0, stopping.signal)
  const serverKeys = await loadSigningKeys(config.signingKeys)
  const signer = new RotatingSigner(config.server.serverName, serverKeys.signing)
  const { authorityPaths } = config.federation
  const authorities = authorityPaths && (await loadAuthorities(authorityPaths))
  const network = { dns: overrides.dns ?? createSystemDns(), authorities }
  const registry = new AppserviceRegistry()
  let exceptions: RatelimitOverrides | undefined
  const rateLimits = new RateLimits(clock, config.rateLimits, {
    override: (userId) => Promise.resolve(exceptions?.get(userId)),
    isAppserviceLimited: (id, userId) => registry.isLimited(id, userId),
  })
  // Before the database, which is for one server alone.
  const control = await openControlSocket(controlSocketPlace(config), logger)
  let storage: Storage | undefined
  try {
    // The database lives by real time: a clock that stands still must not keep a transaction from being tried again.
    storage = await openStorage(config, { logger, metrics, clock: systemClock })
    await refuseUnfinishedTakeover(storage.db.reader)
    registry.replace(await loadAppservices(config, { db: storage.db, logger }))
    const ratelimitOverrides = new RatelimitOverrides(storage.db, new RatelimitOverridesStore())
    await ratelimitOverrides.load()
    exceptions = ratelimitOverrides
    const shared = {
      config,
      registry,
      storage,
      serverKeys,
      signer,
      network,
      clock,
      logger,
      metrics,
      rateLimits,
      ratelimitOverrides,
    }
    const wired = createServices({ ...shared, version: programVersion() })
    const { services, authenticator } = wired
    const pipeline = createPipeline({ ...shared, services, authenticator, stopping: stopping.signal })
    const { rereadConfig } = overrides
    return new Homeserver({ ...shared, log, wired, pipeline, stopping, control, rereadConfig })
  } catch (error) {
    await storage?.db.close()
    await control?.close()
    throw error
  }
}

/** One server: everything from its sockets to its database. Two can run in one process. */
export class Homeserver implements AsyncDisposable {
  readonly #parts: HomeserverParts
  readonly #listeners: Listeners
  readonly #tasks: PeriodicTasks
  #stopped: Promise<void> | undefined

  constructor(parts: HomeserverParts) {
    this.#parts = parts
    const { tlsCertificatePath, tlsPrivateKeyPath } = parts.config.listeners
    this.#listeners = new Listeners(
      tlsCertificatePath === undefined || tlsPrivateKeyPath === undefined
        ? undefined
        : { certificatePath: tlsCertificatePath, privateKeyPath: tlsPrivateKeyPath },
    )
    this.#tasks = new PeriodicTasks({ clock: parts.clock, logger: parts.log.logger, jitter: randomFraction })
  }

  get serverName(): ServerName {
    return this.#parts.config.server.serverName
  }

  get services(): Services {
    return this.#parts.wired.services
  }

  /** Where it listens; empty before `start()`. */
  get addresses(): readonly ListenerAddress[] {
    return this.#listeners.addresses
  }

  /** Begins to answer. Rejects when an address is taken; then call `stop()`. */
  async start(): Promise<void> {
    const { config, pipeline, storage, clock, wired, log } = this.#parts
    scheduleMaintenance(this.#tasks, {
      ...wired.stores,
      db: storage.db,
      clock,
      uiAuth: wired.services.uiAuth,
      emailValidations: wired.services.emailValidations,
      devices: wired.services.devices,
      staleDevicesAfterMs: config.server.deleteStaleDevicesAfterMs,
      clientIpsMaxAgeMs: config.retention.userIpsMs,
    })
    for (const task of wired.background.flatMap(({ tasks }) => tasks ?? [])) this.#tasks.every(task)
    await startBackground(wired)
    for (const listener of config.listeners.list) {
      if (listener.type === 'metrics' && !config.metrics.enabled) continue
      const handler = createRequestListener(pipeline, listener, {
        servesMedia: config.media.enabled,
        accounts: config.authenticationService.service === undefined ? 'own' : 'delegated',
      })
      await this.#listeners.open(listener, handler)
    }
    this.#serveCommands()
    log.logger.info({ serverName: this.serverName, addresses: this.addresses }, 'The server is running')
  }

  /**
   * Ends in order: takes no new connections, answers those who wait, finishes what runs, writes what is buffered, closes
   * the database. May be called again.
   */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  /**
   * Takes on what can change while running: a new log file, certificates, and of a `config` that has been read anew rate
   * limits, signing keys and application services. Rejects when one of them cannot be used; the others have been taken on.
   */
  async reload(config?: HomeserverConfig): Promise<void> {
    if (config !== undefined) this.#parts.rateLimits.update(config.rateLimits)
    const reopened = this.#parts.log.reopen()
    try {
      this.#listeners.reloadTls()
      if (config !== undefined) await this.#reloadKeys(config)
      if (config !== undefined) await this.#reloadAppservices(config)
    } finally {
      await reopened
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  /** What is signed from now on is signed with the new key, which others find together with the old ones. */
  async #reloadKeys({ signingKeys }: HomeserverConfig): Promise<void> {
    const keys = await loadSigningKeys(signingKeys)
    this.services.ownKeys.replace(keys)
    this.#parts.signer.replace(keys.signing)
  }

  async #reloadAppservices(config: HomeserverConfig): Promise<void> {
    const { registry, storage, log } = this.#parts
    registry.replace(await loadAppservices(config, { db: storage.db, logger: log.logger }))
    await this.services.appserviceAccounts.ensureSenders()
  }

  #serveCommands(): void {
    const { control, clock, pipeline, rereadConfig } = this.#parts
    const startedTs = clock.now()
    control?.serve(
      createControlMethods({
        serverName: this.serverName,
        version: programVersion(),
        uptimeMs: () => clock.now() - startedTs,
        reload: rereadConfig,
        requests: pipeline.accessLog,
        services: this.services,
      }),
    )
  }

  async #stop(): Promise<void> {
    const { stopping, pipeline, clock, wired, storage, log, control } = this.#parts
    stopping.abort()
    // Neither requests nor what runs in the background can wait for other servers for longer.
    const ending = this.services.federationClient.stop(ASKING_MS)
    control?.end()
    wired.notifier.close()
    const closed = this.#listeners.close()
    const idle = Promise.all([pipeline.whenIdle(), control?.whenIdle()])
    const ended = await within(clock, DRAIN_MS, idle)
    if (!ended) log.logger.warn({ running: pipeline.running }, 'Requests were cut off')
    await within(clock, CLOSE_MS, closed)
    this.#listeners.closeConnections()
    await closed
    await this.#tasks.stop()
    await stopBackground(wired)
    ending.cancel()
    await storage.db.close()
    await control?.close()
    log.logger.info('The server has stopped')
    log.flush()
  }
}

/** Whether something ends before the time is over. */
async function within(clock: Clock, ms: number, work: Promise<unknown>): Promise<boolean> {
  const timeout = new AbortController()
  const late = clock.sleep(ms, timeout.signal).then(
    () => false,
    () => true,
  )
  try {
    return await Promise.race([work.then(() => true), late])
  } finally {
    timeout.abort()
  }
}
