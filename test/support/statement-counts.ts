/** What the database was asked. */
export interface Statements {
  /** Statements that were asked for rows. */
  readonly reads: number
  /** Rows that they gave. */
  readonly rows: number
  readonly writes: number
}

/** Counts the statements of a server or a database by its metrics. */
export class StatementCounts {
  readonly #metrics: () => Promise<string>

  /** @param metrics gives all metrics in Prometheus' text format */
  constructor(metrics: () => Promise<string>) {
    this.#metrics = metrics
  }

  /** What there has been so far. */
  async now(): Promise<Statements> {
    const text = await this.#metrics()
    const value = (name: string): number =>
      Number(new RegExp(`^mxhs_storage_${name}_total (\\S+)$`, 'm').exec(text)?.[1] ?? 0)
    return { reads: value('reads'), rows: value('rows_read'), writes: value('writes') }
  }

  /** What there was while `work` ran: of everything that the server did meanwhile. */
  async during(work: () => Promise<unknown>): Promise<Statements> {
    const before = await this.now()
    await work()
    const after = await this.now()
    return {
      reads: after.reads - before.reads,
      rows: after.rows - before.rows,
      writes: after.writes - before.writes,
    }
  }
}
