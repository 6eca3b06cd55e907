import { serverNameOf, type ServerName, type UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { RemoteDevicesStore } from '../../storage/stores/remote-devices.js'
import { usersOfPattern } from '../../storage/stores/room-servers.js'
import type { Clock, Timer } from '../../util/clock.js'
import { KeyedMutex } from '../../util/keyed-mutex.js'
import { Semaphore } from '../../util/semaphore.js'
import type { Destinations } from '../remote/destinations.js'
import { FederationError } from '../remote/federation-error.js'
import type { RemoteDeviceLists } from './remote-device-lists.js'

interface Dependencies {
  readonly db: Database
  readonly clock: Clock
  readonly remoteDevices: Pick<RemoteDevicesStore, 'listStale' | 'listStaleOf'>
  readonly deviceLists: Pick<RemoteDeviceLists, 'fetch' | 'refetch'>
  readonly destinations: Pick<Destinations, 'filterReachable' | 'onAlive'>
  readonly onError: (error: unknown) => void
}

/** Servers that are asked at the same time, each for one user's list: one that is slow holds up nobody else. */
const PARALLEL = 10
const SWEEP_MS = 60_000
const SWEEP_SIZE = 100
/** Users who wait to be fetched, in all and of one server; beyond, the sweep finds them. */
const MAX_WAITING = 1_000
const MAX_OF_SERVER = 100

/** Fetches lists of devices of which a change was missed: at once, and again until the user's server answers. */
export class DeviceListResyncs {
  readonly #deps: Dependencies
  readonly #slots = new Semaphore(PARALLEL)
  readonly #servers = new KeyedMutex()
  readonly #running = new Map<UserId, Promise<void>>()
  /** How many of those are of each server. */
  readonly #counts = new Map<ServerName, number>()
  #timer: Timer | undefined
  #sweptUpTo = ''
  #unsubscribe: (() => void) | undefined
  #stopped = false

  constructor(deps: Dependencies) {
    this.#deps = deps
  }

  start(): void {
    this.#unsubscribe = this.#deps.destinations.onAlive((server) => {
      this.#resumeFor(server).catch(this.#deps.onError)
    })
    this.#schedule()
  }

  /** Begins nothing any more; what waits is found again by the next start. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#unsubscribe?.()
    this.#timer?.cancel()
    await Promise.all(this.#running.values())
  }

  /** A change of the user's devices was missed; clients have been told that there was one. */
  onStale(userId: UserId): void {
    this.#run(userId, () => this.#deps.deviceLists.fetch(userId))
  }

  #run(userId: UserId, fetch: () => Promise<void>): void {
    if (this.#stopped || this.#running.has(userId) || this.#running.size >= MAX_WAITING) return
    const server = serverNameOf(userId)
    const count = this.#counts.get(server) ?? 0
    if (count >= MAX_OF_SERVER) return
    this.#counts.set(server, count + 1)
    const attempt = async (): Promise<void> => {
      if (!this.#stopped) await fetch()
    }
    const run = this.#servers
      .run(server, () => this.#slots.run(attempt))
      .catch((error: unknown) => {
        // The list stays stale, and is tried again.
        if (!(error instanceof FederationError)) this.#deps.onError(error)
      })
      .finally(() => {
        this.#ended(userId, server)
      })
    this.#running.set(userId, run)
  }

  #ended(userId: UserId, server: ServerName): void {
    this.#running.delete(userId)
    const left = (this.#counts.get(server) ?? 1) - 1
    if (left === 0) this.#counts.delete(server)
    else this.#counts.set(server, left)
  }

  async #resumeFor(server: ServerName): Promise<void> {
    const { db, remoteDevices } = this.#deps
    const stale = await remoteDevices.listStaleOf(db.reader, usersOfPattern(server), SWEEP_SIZE)
    for (const userId of stale) this.#run(userId, () => this.#deps.deviceLists.refetch(userId))
  }

  #schedule(): void {
    if (this.#stopped) return
    this.#timer = this.#deps.clock.setTimeout(() => {
      this.#sweep()
        .catch(this.#deps.onError)
        .finally(() => {
          this.#schedule()
        })
    }, SWEEP_MS)
  }

  /** Some at a time, and all in turn. */
  async #sweep(): Promise<void> {
    const { db, remoteDevices, destinations } = this.#deps
    const stale = await remoteDevices.listStale(db.reader, SWEEP_SIZE, this.#sweptUpTo)
    this.#sweptUpTo = stale.length < SWEEP_SIZE ? '' : (stale.at(-1) ?? '')
    const servers = [...new Set(stale.map(serverNameOf))]
    const reachable = new Set(await destinations.filterReachable(servers))
    for (const userId of stale) {
      if (reachable.has(serverNameOf(userId))) this.#run(userId, () => this.#deps.deviceLists.refetch(userId))
    }
  }
}
