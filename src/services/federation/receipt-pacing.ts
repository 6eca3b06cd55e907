import type { ServerName } from '../../protocol/ids.js'
import type { Clock, Timer } from '../../util/clock.js'
import type { FederationSender } from './federation-sender.js'
import { subjectOf, type OutgoingReceipt } from './outgoing-edus.js'

interface Dependencies {
  readonly clock: Pick<Clock, 'now' | 'setTimeout'>
  readonly sender: Pick<FederationSender, 'addEdu'>
  /** `federation_rr_transactions_per_room_per_second` */
  readonly perRoomPerSecond: number
}

/** A room of which receipts have been sent lately. */
interface PacedRoom {
  /** When the next may be sent. */
  readonly timer: Timer
  /** Those that wait for it, by subject: of what is about the same the newest counts. */
  readonly waiting: Map<string, OutgoingReceipt>
  servers: readonly ServerName[]
}

/**
 * Keeps receipts from causing more transactions than the configuration wants: what a room may cause in a second is shared
 * by its servers, so that those of a large room are collected for a while, and those of a small one go at once.
 */
export class ReceiptPacing {
  readonly #deps: Dependencies
  readonly #rooms = new Map<number, PacedRoom>()

  constructor(deps: Dependencies) {
    this.#deps = deps
  }

  /** Sends a receipt to the servers in its room, now or soon. */
  add(roomNid: number, receipt: OutgoingReceipt, servers: readonly ServerName[]): void {
    if (servers.length === 0) return
    const room = this.#rooms.get(roomNid)
    if (room !== undefined) {
      const subject = subjectOf(receipt)
      room.waiting.delete(subject)
      room.waiting.set(subject, receipt)
      room.servers = servers
      return
    }
    this.#deps.sender.addEdu(servers, receipt)
    this.#rest(roomNid, servers)
  }

  /** Hands over what waits, as before a stop. */
  flush(): void {
    for (const { timer, waiting, servers } of this.#rooms.values()) {
      timer.cancel()
      for (const receipt of waiting.values()) this.#deps.sender.addEdu(servers, receipt)
    }
    this.#rooms.clear()
  }

  /** Lets nothing go until what has just gone has been made up for. */
  #rest(roomNid: number, servers: readonly ServerName[]): void {
    const { clock, perRoomPerSecond } = this.#deps
    const timer = clock.setTimeout(() => this.#release(roomNid), (servers.length * 1000) / perRoomPerSecond)
    this.#rooms.set(roomNid, { timer, waiting: new Map(), servers })
  }

  #release(roomNid: number): void {
    const room = this.#rooms.get(roomNid)
    this.#rooms.delete(roomNid)
    if (room === undefined || room.waiting.size === 0) return
    for (const receipt of room.waiting.values()) this.#deps.sender.addEdu(room.servers, receipt)
    this.#rest(roomNid, room.servers)
  }
}
