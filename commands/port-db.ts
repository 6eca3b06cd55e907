import { Flags } from '@oclif/core'
import { BaseCommand, configFlag } from '../src/cli/base-command.js'
import { CommandFailure } from '../src/cli/failures.js'
import { formatBytes } from '../src/cli/format-bytes.js'
import { formatDuration } from '../src/cli/format-duration.js'
import {
  INTERRUPTED_EXIT_CODE,
  findPlaces,
  findServer,
  runEstimate,
  runPort,
  type Place,
} from '../src/cli/port-db.js'
import { formatTable } from '../src/cli/tables.js'

type Report = Awaited<ReturnType<typeof runPort>>
type Estimate = Awaited<ReturnType<typeof runEstimate>>
type UnstorableRow = Report['unstorable'][number]

interface Ported extends Report {
  readonly from: string
  readonly to: string
  readonly rows: number
  readonly carried: number
  readonly tookMs: number
}

interface Estimated extends Estimate {
  readonly dryRun: true
  readonly from: string
  readonly to: string
}

/** So many are shown; --json has all of them. */
const MAX_SHOWN = 20

export default class PortDb extends BaseCommand {
  static override summary = 'Move to another database: from SQLite to PostgreSQL, or back.'
  static override description =
    'Copies what is not there yet, then compares every row of every table on both sides, byte by byte, and mends what ' +
    'differs, deletions included. So it can be interrupted at any point (SIGINT ends it cleanly) and begun again, and ' +
    'after a first pass with --while-running the last one, with the server stopped, is short. The old database is ' +
    'never written.\n\n' +
    'Whether a server runs is known from its control socket, from other processes that have the SQLite file open, and ' +
    'from connections to PostgreSQL with its application_name. A pass during which somebody uses or changes the old ' +
    'database is never complete, and a server refuses to start on a database that is not.\n\n' +
    'The new database must be empty, or made by an earlier pass. Once a server has used it, it is no target any more.\n\n' +
    'Exit codes: 0 done (with --while-running also when it cannot be complete), 1 failed or not complete, 2 called in ' +
    'a wrong way, 130 interrupted.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml --to postgres.yaml --dry-run',
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml --to postgres.yaml --while-running',
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml --to postgres.yaml',
    '<%= config.bin %> <%= command.id %> --from postgres.yaml --to homeserver.db',
    '<%= config.bin %> <%= command.id %> --sqlite-database homeserver.db --postgres-config homeserver-postgres.yaml',
  ]

  static override enableJsonFlag = true

  static override flags = {
    config: configFlag,
    from: Flags.string({
      helpValue: 'PLACE',
      exclusive: ['config', 'sqlite-database'],
      description: 'the old database, instead of -c: a file as for --to',
    }),
    to: Flags.string({
      helpValue: 'PLACE',
      exclusive: ['postgres-config'],
      description:
        'the new database: a homeserver.yaml or a file with its "database" section, a SQLite file, or postgresql://...',
    }),
    'while-running': Flags.boolean({
      description: 'carry over what there is while the server runs, so that the last pass is short',
    }),
    'skip-unstorable': Flags.boolean({
      description: 'leave out rows that PostgreSQL cannot hold, and list them',
    }),
    'dry-run': Flags.boolean({
      description: 'change nothing: read everything, and say how much time and room it will take',
    }),
    'batch-size': Flags.integer({
      min: 1,
      helpValue: 'ROWS',
      description: 'rows in one transaction, at most',
    }),
    'sqlite-database': Flags.string({
      helpValue: 'FILE',
      exclusive: ['config', 'from'],
      description: 'as --from (the name of Synapse)',
    }),
    'postgres-config': Flags.string({
      helpValue: 'FILE',
      exclusive: ['to'],
      description: 'as --to (the name of Synapse)',
    }),
    verbose: Flags.boolean({ char: 'v', description: 'list every table, also those that are empty' }),
    curses: Flags.boolean({ hidden: true, description: 'of Synapse: a bar is shown anyway' }),
  }

  async run(): Promise<Ported | Estimated> {
    const { flags } = await this.parse(PortDb)
    const { source, target } = await findPlaces(flags)
    const { Progress } = await import('../src/cli/progress.js')
    const progress = new Progress()
    const databases = { source: source.database, target: target.database }
    if (flags['dry-run']) {
      const estimate = await this.#interruptible(() => runEstimate({ ...databases, progress }))
      return this.#showEstimate({ dryRun: true, from: source.name, to: target.name, ...estimate })
    }
    this.note(`from  ${source.name}\nto    ${target.name}`)
    const startedAt = performance.now()
    const report = await this.#interruptible(() =>
      runPort({
        ...databases,
        sourceName: source.name,
        whileRunning: flags['while-running'],
        skipUnstorable: flags['skip-unstorable'],
        batchRows: flags['batch-size'],
        findServer: () => findServer(source),
        progress,
        note: (text) => this.note(text),
      }),
    )
    const ported = {
      from: source.name,
      to: target.name,
      ...report,
      rows: report.tables.reduce((sum, { rows }) => sum + rows, 0),
      carried: report.tables.reduce((sum, { carried }) => sum + carried, 0),
      tookMs: Math.round(performance.now() - startedAt),
    }
    return this.#showReport(ported, { target, ...flags })
  }

  async #interruptible<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if ((error as Error).name !== 'PortInterrupted') throw error
      this.note((error as Error).message)
      return this.exit(INTERRUPTED_EXIT_CODE)
    }
  }

  #showReport(report: Ported, flags: { target: Place; verbose: boolean; 'while-running': boolean }): Ported {
    const { complete, incompleteBecause, tables, rows, carried, tookMs } = report
    if (!this.jsonEnabled()) {
      const shown = tables.filter((table) => flags.verbose || table.rows > 0 || table.carried > 0)
      const lines = shown.map((table) => [
        table.name,
        table.rows.toLocaleString('en-US'),
        table.carried.toLocaleString('en-US'),
        table.checksum.slice(0, 16),
      ])
      this.log(formatTable(['table', 'rows', 'carried', 'checksum'], lines))
      this.log('')
      this.log(
        `${tables.length} tables with ${rows.toLocaleString('en-US')} rows are the same on both sides; ` +
          `${carried.toLocaleString('en-US')} were carried, in ${formatDuration(tookMs)}.`,
      )
      this.#showUnstorable(report.unstorable)
    }
    if (complete) {
      this.note('Complete: put the new database into the configuration, and start the server.')
      return report
    }
    const why = `Not complete: ${incompleteBecause ?? ''}`
    if (flags['while-running']) {
      this.note(`${why}. Stop the server, and run the same without --while-running.`)
      return report
    }
    if (!this.jsonEnabled()) throw new CommandFailure(why)
    this.note(why)
    this.logJson(report)
    return this.exit(1)
  }

  #showEstimate(estimate: Estimated): Estimated {
    if (this.jsonEnabled()) return estimate
    const { tables, rows, targetBytes, freeBytes, seconds, target } = estimate
    const lines = tables
      .filter((table) => table.rows > 0)
      .map((table) => [table.name, table.rows.toLocaleString('en-US'), formatBytes(table.bytes)])
    this.log(formatTable(['table', 'rows', 'size'], lines))
    this.log('')
    this.log(`from    ${estimate.from}`)
    this.log(`to      ${estimate.to} (${TARGETS[target]})`)
    this.log(`rows    ${rows.toLocaleString('en-US')}`)
    this.log(
      `room    about ${formatBytes(targetBytes)}${freeBytes === null ? '' : `, ${formatBytes(freeBytes)} are free`}`,
    )
    this.log(`time    about ${formatDuration(seconds * 1000)} for everything`)
    this.#showUnstorable(estimate.unstorable)
    return estimate
  }

  #showUnstorable(rows: readonly UnstorableRow[]): void {
    if (rows.length === 0) return
    this.log('')
    this.log(`${rows.length === 1 ? '1 row' : `${rows.length} rows`} cannot be held by the new database:`)
    for (const { table, key, columns, reason } of rows.slice(0, MAX_SHOWN)) {
      this.log(`  ${table}  ${key}  ${[...columns, reason].join(': ')}`)
    }
    if (rows.length > MAX_SHOWN) this.log(`  and ${rows.length - MAX_SHOWN} more: --json lists them all`)
  }
}

const TARGETS = { new: 'new', empty: 'empty', begun: 'begun by an earlier pass' } as const
