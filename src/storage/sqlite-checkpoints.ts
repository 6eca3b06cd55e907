import type { ConnectionLease } from './sql-connection.js'

/** After so many transactions that wrote, what they wrote is copied from the log into the database's file. */
const COMMITS_PER_CHECKPOINT = 64

/** A log of so many pages (of 4 KiB) is to begin again from its start, which takes a moment without new commits. */
const LONG_LOG_PAGES = 8_000

const CHECKPOINT = 'PRAGMA wal_checkpoint(PASSIVE)'

interface Outcome {
  readonly busy: number
  /** Pages in the log. */
  readonly log: number
  /** Those of them that are in the database's file. */
  readonly checkpointed: number
}

/** Where the connections come from, and whom a failure is told. */
export interface CheckpointParts {
  /** A connection of the checkpoints' own, so that nobody who writes waits for the disk. */
  readonly own: () => Promise<ConnectionLease>
  /** The connection that writes. */
  readonly writer: () => Promise<ConnectionLease>
  readonly onFailure: (error: unknown) => void
}

/**
 * Copies the write-ahead log of a SQLite database into its file while others go on writing: left to SQLite, whoever
 * commits when the log has grown long waits until the disk has all of it. Only the last part, written meanwhile, is
 * copied with the writer's connection, so that the log can begin again.
 */
export class SqliteCheckpoints {
  readonly #parts: CheckpointParts
  #commits = 0
  #running: Promise<void> | undefined
  #closed = false

  constructor(parts: CheckpointParts) {
    this.#parts = parts
  }

  /** To be called after every transaction that may have written. */
  committed(): void {
    this.#commits++
    this.#beginIfDue()
  }

  /** Begins no further checkpoint; resolves when none runs. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#running
  }

  #beginIfDue(): void {
    if (this.#commits < COMMITS_PER_CHECKPOINT || this.#running || this.#closed) return
    this.#commits = 0
    this.#running = this.#checkpoint()
      .catch(this.#parts.onFailure)
      .finally(() => {
        this.#running = undefined
        // As many may have come meanwhile, and nobody after them.
        this.#beginIfDue()
      })
  }

  async #checkpoint(): Promise<void> {
    const { log, checkpointed } = await copy(await this.#parts.own())
    if (log < LONG_LOG_PAGES || checkpointed === 0) return
    await copy(await this.#parts.writer())
  }
}

async function copy(lease: ConnectionLease): Promise<Outcome> {
  try {
    const { rows } = await lease.connection.run({ sql: CHECKPOINT, params: [], wants: 'rows' })
    return rows[0] as unknown as Outcome
  } finally {
    lease.release()
  }
}
