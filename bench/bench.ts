import type { BenchClient, Session } from './client.js'
import { inParallel, latencies } from './statistics.js'

/** What was measured, by a title with its unit. */
export type Figures = Record<string, number>

/** How much is made before it is measured. */
export interface Sizes {
  /** Messages of each sending scenario. */
  readonly messages: number
  /** Members of the large room. */
  readonly members: number
  /** Rooms of the account that syncs. */
  readonly rooms: number
  /** Rooms that are searched, with twenty messages each. */
  readonly searchedRooms: number
  /** Rooms of the space. */
  readonly spaceRooms: number
  /** Messages of the room that is read far back. */
  readonly history: number
  /** Devices that a message goes to. */
  readonly devices: number
  /** Members of the large room with a pusher. */
  readonly pushers: number
  readonly uploads: number
  readonly uploadMb: number
  /** Events of the room of another server that is joined, which `members` are in. */
  readonly remoteEvents: number
  /** Transactions that other servers send. */
  readonly transactions: number
  /** Servers that send them. */
  readonly origins: number
}

/** What can be seen of a server from outside its API; absent where it cannot. */
export interface ServerView {
  /** The metrics of the server, in Prometheus' text format. */
  metrics?(): Promise<string>
  /** Resident memory in MB. */
  residentMb?(): Promise<number>
  /** The `database` section of a fresh database of the same kind, for further servers. */
  createDatabase?(): Promise<object>
}

/** A room with many local members. */
export interface LargeRoom {
  readonly roomId: string
  readonly owner: Session
  /** All but the owner. */
  readonly members: readonly Session[]
  /** Members a second that were registered and joined. */
  readonly filledPerSecond: number
}

export interface BenchParts {
  readonly client: BenchClient
  readonly sizes: Sizes
  readonly view: ServerView
  /** Requests a second that bare node:http answers. */
  readonly bareHttp: number
}

/** One server that is measured, and what scenarios have made on it. */
export class Bench {
  readonly client: BenchClient
  readonly sizes: Sizes
  readonly view: ServerView
  readonly bareHttp: number
  /** What the figures do not say, for example what could not be measured. */
  readonly notes: string[] = []
  /** Sets the names of this run apart, on servers that have run this before. */
  readonly #run = Date.now().toString(36)
  readonly #people: Session[] = []
  #largeRoom: Promise<LargeRoom> | undefined

  constructor({ client, sizes, view, bareHttp }: BenchParts) {
    this.client = client
    this.sizes = sizes
    this.view = view
    this.bareHttp = bareHttp
  }

  /** A localpart, or the beginning of some, that nobody has on the server. */
  name(of: string): string {
    return `${this.#run}${of}`
  }

  /** So many accounts; those that scenarios before have asked for come first. */
  async people(count: number): Promise<Session[]> {
    const known = this.#people.length
    await inParallel(count - known, 20, async (index) => {
      this.#people[known + index] = await this.client.register(this.name(`p${known + index}`))
    })
    return this.#people.slice(0, count)
  }

  /** The room that `sizes.members` people are in: made for the first scenario that asks for it. */
  largeRoom(): Promise<LargeRoom> {
    this.#largeRoom ??= this.#makeLargeRoom()
    return this.#largeRoom
  }

  async #makeLargeRoom(): Promise<LargeRoom> {
    const owner = await this.client.register(this.name('owner'))
    const roomId = await owner.createRoom()
    const start = performance.now()
    const members = await this.people(this.sizes.members - 1)
    await inParallel(members.length, 20, (index) => members[index]!.join(roomId))
    const seconds = (performance.now() - start) / 1000
    return { roomId, owner, members, filledPerSecond: this.sizes.members / seconds }
  }

  /**
   * Makes requests one after the other, and one before that does not count. Gives p50 and p99 and, of servers that
   * count them, the database reads per request.
   */
  async time(title: string, count: number, request: (index: number) => Promise<unknown>): Promise<Figures> {
    await request(count)
    const readsBefore = await this.#reads()
    const times: number[] = []
    for (let index = 0; index < count; index++) {
      const start = performance.now()
      await request(index)
      times.push(performance.now() - start)
    }
    const readsAfter = await this.#reads()
    const { p50, p99 } = latencies(times)
    return {
      [`${title}: p50, ms`]: p50,
      [`${title}: p99, ms`]: p99,
      ...(readsBefore !== undefined &&
        readsAfter !== undefined && {
          [`${title}: database reads per request`]: (readsAfter - readsBefore) / count,
        }),
    }
  }

  async #reads(): Promise<number | undefined> {
    const text = await this.view.metrics?.()
    const found = /^mxhs_storage_reads_total (\S+)$/m.exec(text ?? '')
    return found === null ? undefined : Number(found[1])
  }
}
