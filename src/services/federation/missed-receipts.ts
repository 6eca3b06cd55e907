import type { ServerName } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { FederationPositionsStore } from '../../storage/stores/federation-positions.js'
import type { RoomServersStore } from '../../storage/stores/room-servers.js'
import type { StreamIdGenerator } from '../../storage/streams/stream-id-generator.js'
import type { OutgoingEdu, OutgoingReceipt } from './outgoing-edus.js'

/** Receipts that a destination has missed, of one transaction. */
export interface ReceiptPart {
  readonly receipts: readonly OutgoingReceipt[]
  /** With these, the destination has all up to here. */
  readonly upTo: number
  /** There is nothing between that and what is new. */
  readonly isAll: boolean
}

/** Where receipts are that were missed. */
export interface ReceiptBacklog {
  load(destination: ServerName, after: number): Promise<ReceiptPart>
  /** Writes down from where on receipts are missed; undefined: none are. */
  record(destination: ServerName, after: number | undefined): Promise<void>
}

interface Dependencies {
  readonly db: Database
  readonly positions: FederationPositionsStore
  readonly store: Pick<RoomServersStore, 'listLocalReceiptsFor'>
  readonly stream: Pick<StreamIdGenerator, 'position'>
  /** What finds our users; see `usersOfPattern`. */
  readonly localPattern: string
}

const NAME_PREFIX = 'receipts '
/** Receipts that are looked at for one transaction. */
const BATCH = 500

/**
 * What destinations have missed of receipts is one position for each: the receipts themselves are kept anyway, of each
 * user, room and thread the newest.
 */
export class StoredReceiptBacklog implements ReceiptBacklog {
  readonly #deps: Dependencies

  constructor(deps: Dependencies) {
    this.#deps = deps
  }

  async load(destination: ServerName, after: number): Promise<ReceiptPart> {
    const { db, store, stream, localPattern } = this.#deps
    const end = stream.position()
    const { receipts, upTo } = await store.listLocalReceiptsFor(db.reader, destination, {
      after,
      upTo: end,
      limit: BATCH,
      localPattern,
    })
    return {
      receipts: receipts.map(({ roomNid: _roomNid, ...receipt }) => ({ kind: 'receipt', ...receipt })),
      upTo,
      isAll: upTo === end,
    }
  }

  async record(destination: ServerName, after: number | undefined): Promise<void> {
    const { db, positions } = this.#deps
    const name = NAME_PREFIX + destination
    await db.write('record_missed_receipts', (tx) =>
      after === undefined ? positions.delete(tx, name) : positions.set(tx, name, after),
    )
  }

  /** From where on each destination has missed receipts, of those that have. */
  async list(): Promise<Map<ServerName, number>> {
    const { db, positions } = this.#deps
    const found = await positions.listByPrefix(db.reader, NAME_PREFIX)
    return new Map([...found].map(([name, after]) => [name.slice(NAME_PREFIX.length) as ServerName, after]))
  }
}

/** From where on one destination has missed receipts, if it has. */
export class MissedReceipts {
  readonly #destination: ServerName
  readonly #backlog: ReceiptBacklog
  readonly #onError: (error: unknown) => void
  #after: number | undefined
  /** Something was missed since the last look. */
  #isNoted = false
  /** The last change of what is written down: one after the other. */
  #recorded: Promise<void> = Promise.resolve()

  constructor(destination: ServerName, backlog: ReceiptBacklog, onError: (error: unknown) => void) {
    this.#destination = destination
    this.#backlog = backlog
    this.#onError = onError
  }

  /** Whether there are any. Then what is new is missed as well, and comes after them. */
  get areAny(): boolean {
    return this.#after !== undefined
  }

  /** It is written down that receipts after a position have been missed. */
  resume(after: number): void {
    this.#after = after
  }

  note({ streamId }: OutgoingReceipt): void {
    this.#isNoted = true
    const after = streamId - 1
    if (this.#after !== undefined && this.#after <= after) return
    this.#after = after
    this.#record(after)
  }

  /** The next of them. */
  async load(): Promise<ReceiptPart | undefined> {
    if (this.#after === undefined) return undefined
    this.#isNoted = false
    return this.#backlog.load(this.#destination, this.#after)
  }

  /** The destination has those of a part which `taken` has. */
  settle({ receipts, upTo, isAll }: ReceiptPart, taken: ReadonlySet<OutgoingEdu>): void {
    if (this.#after === undefined) return
    const left = receipts.find((receipt) => !taken.has(receipt))
    this.#after = left === undefined ? upTo : left.streamId - 1
    if (left !== undefined || !isAll || this.#isNoted) return
    this.#after = undefined
    this.#record(undefined)
  }

  /** Resolves when all is written down. */
  settled(): Promise<void> {
    return this.#recorded
  }

  #record(after: number | undefined): void {
    this.#recorded = this.#recorded
      .then(() => this.#backlog.record(this.#destination, after))
      .catch(this.#onError)
  }
}
