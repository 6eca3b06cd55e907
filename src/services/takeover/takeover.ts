import type { StreamPositionsStore } from '../../storage/stores/stream-starts.js'
import type { TakeoverRecord } from '../../storage/stores/takeover.js'
import { TakeoverCleaner } from '../../storage/stores/takeover-cleaner.js'
import { newestPosition } from '../../storage/synapse/rooms.js'
import type { SynapseSource } from '../../storage/synapse/source.js'
import { readStreamEnds, type StreamEnds } from '../../storage/synapse/streams.js'
import type { Clock } from '../../util/clock.js'
import { MissingNids } from './missing-nids.js'
import { RoomCopying, type RoomCopyingParts, type RoomsReport } from './room-copying.js'
import { refreshRooms } from './room-flags.js'
import { copySmallTables, type TableReport } from './small-tables.js'
import { checkSchema } from './inspection.js'
import { SourceReferences } from './source-events.js'
import { TakeoverRefusal } from './takeover-refusal.js'
import { TakeoverVerification, type Verification } from './verification.js'

type OfOneRun = 'source' | 'references' | 'missingNids'

export interface TakeoverParts extends Omit<RoomCopyingParts, OfOneRun> {
  readonly clock: Clock
  readonly streamStarts: StreamPositionsStore
  /** How far the streams of the source are now, not when it was opened. */
  readonly readEndsNow: () => Promise<StreamEnds>
}

/** What a takeover has done. */
export interface TakeoverReport {
  /** `copied`: Synapse may go on, and what is new is copied next time. `finished`: this server can start. */
  readonly outcome: 'copied' | 'finished' | 'differs'
  readonly rooms: RoomsReport
  /** Of a run that finishes. */
  readonly tables?: readonly TableReport[]
  readonly verification?: Verification
}

/**
 * Takes over a server: copies rooms while it runs, as often as one likes, and everything else when it has been stopped.
 * Every run goes on where the last one was interrupted.
 */
export class Takeover {
  readonly #parts: TakeoverParts

  constructor(parts: TakeoverParts) {
    this.#parts = parts
  }

  /**
   * Whether the database can take anything. Throws a `TakeoverRefusal` where something else is in it, or where the
   * takeover has been finished: what has happened since must not be overwritten.
   */
  async check(): Promise<TakeoverRecord | undefined> {
    const { takeover, db, serverName } = this.#parts
    const record = await takeover.get(db.reader)
    if (record === undefined) {
      if (!(await takeover.isInUse(db.reader))) return undefined
      throw new TakeoverRefusal('The database has users or rooms already: a takeover needs one of its own')
    }
    if (record.serverName !== serverName)
      throw new TakeoverRefusal(`The database belongs to the takeover of ${record.serverName}`)
    if (record.stage === 'finished')
      throw new TakeoverRefusal(
        'The takeover into this database is finished: nothing is copied into it any more',
      )
    if ((await this.#parts.streamStarts.newestEvent(db.reader)) > record.lastPosition)
      throw new TakeoverRefusal(
        'A server has run on this database since something was copied into it: begin anew',
      )
    return record
  }

  /** Copies rooms as they are. */
  async copy(source: SynapseSource): Promise<TakeoverReport> {
    await this.#begin(source)
    const rooms = await this.#copyRooms(source)
    return { outcome: 'copied', rooms }
  }

  /**
   * Copies all that is left of a server that has been stopped, and holds the copy against it. Throws a `TakeoverRefusal`
   * where it has not been stopped.
   */
  async finish(source: SynapseSource): Promise<TakeoverReport> {
    const { db, takeover, serverName, clock, progress, streamStarts } = this.#parts
    const record = await this.#begin(source)
    const rooms = await this.#copyRooms(source)
    const nids = await takeover.listRoomNids(db.reader)
    const facts = {
      serverName,
      now: clock.now(),
      roomNid: (roomId: string) => nids.get(roomId),
      newestPosition: record.lastPosition,
    }
    const tables = await copySmallTables({ db, source, progress }, facts)
    const ends = await readStreamEnds(source)
    await db.write('takeover_streams', (tx) => streamStarts.raise(tx, ends))
    await db.write('takeover_derived', (tx) => streamStarts.beginDerived(tx))
    await refreshRooms({ db, source })
    const verification = await new TakeoverVerification(this.#parts, source, facts).run()
    const agrees = verification.differences.length === 0
    if (agrees) {
      await this.#checkStopped(ends)
      await db.write('takeover_finished', async (tx) => {
        await takeover.put(tx, { ...record, stage: 'finished', finishedTs: clock.now() })
        await new TakeoverCleaner().emptyTables(tx, ['takeover_rooms', 'takeover_state_groups'])
      })
    }
    return { outcome: agrees ? 'finished' : 'differs', rooms, tables, verification }
  }

  /** Throws a `TakeoverRefusal` when the source has gone on since it was opened. */
  async #checkStopped(ends: StreamEnds): Promise<void> {
    const now = await this.#parts.readEndsNow()
    if (JSON.stringify(now) === JSON.stringify(ends)) return
    throw new TakeoverRefusal(
      'Synapse has gone on meanwhile: stop it with all its workers, and run this again',
    )
  }

  async #begin(source: SynapseSource): Promise<TakeoverRecord> {
    const { takeover, db, clock, serverName } = this.#parts
    checkSchema(source)
    const known = await this.check()
    const record: TakeoverRecord = {
      serverName,
      stage: 'copying',
      beganTs: known?.beganTs ?? clock.now(),
      finishedTs: undefined,
      lastPosition: Math.max(known?.lastPosition ?? 0, await newestPosition(source)),
    }
    await db.write('takeover_begin', (tx) => takeover.put(tx, record))
    return record
  }

  async #copyRooms(source: SynapseSource): Promise<RoomsReport> {
    const { db, takeover } = this.#parts
    return new RoomCopying({
      ...this.#parts,
      source,
      references: new SourceReferences(source),
      missingNids: await MissingNids.open(db.reader, takeover),
    }).run()
  }
}
