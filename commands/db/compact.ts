import { Flags } from '@oclif/core'
import { loadForAdministration } from '../../src/cli/administration.js'
import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import { configPaths } from '../../src/cli/config-paths.js'
import { formatBytes } from '../../src/cli/format-bytes.js'
import { Progress } from '../../src/cli/progress.js'
import { requireSchema, withDatabase } from '../../src/cli/with-database.js'
import { withoutServer } from '../../src/cli/without-server.js'
import type { CompactionReport } from '../../src/storage/compaction.js'
import { systemClock } from '../../src/util/clock.js'

const NAMES: Readonly<Record<CompactionReport['dead'][number]['what'], string>> = {
  stateSnapshots: 'states of rooms at no event',
  accessTokens: 'access tokens that have expired',
  refreshTokens: 'refresh tokens that have expired',
  loginTokens: 'login tokens that have expired',
  openIdTokens: 'OpenID tokens that have expired',
  transactionIds: 'transaction IDs that have expired',
}
const SERVER_RUNS =
  'A server runs on this database, which remembers states that it may use again: stop it first, or look with --dry-run'

export default class DbCompact extends BaseCommand {
  static override summary = 'Delete what nothing needs any more, and give the free room back to the disk.'
  static override description =
    'Deletes states of rooms that belong to no event and tokens that have expired, and vacuums: SQLite writes its file ' +
    'anew, for which there must be as much room again on the disk; PostgreSQL keeps the room for new rows unless --full ' +
    'has it write tables anew. The server must not run. --dry-run only counts, and may be used at any time.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> --dry-run -c homeserver.yaml',
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml',
  ]

  static override enableJsonFlag = true

  static override flags = {
    config: configFlag,
    'dry-run': Flags.boolean({ char: 'n', default: false, description: 'change nothing' }),
    full: Flags.boolean({ default: false, description: 'on PostgreSQL: write all tables anew' }),
  }

  async run(): Promise<CompactionReport> {
    const { flags } = await this.parse(DbCompact)
    const paths = configPaths(flags.config)
    const dryRun = flags['dry-run']
    const compactNow = (): Promise<CompactionReport> => this.#compact(paths, { dryRun, rewrites: flags.full })
    const report = dryRun
      ? await compactNow()
      : await withoutServer(await loadForAdministration(paths), SERVER_RUNS, compactNow)
    if (!this.jsonEnabled()) this.#print(report)
    return report
  }

  #compact(
    paths: readonly string[],
    options: { dryRun: boolean; rewrites: boolean },
  ): Promise<CompactionReport> {
    return withDatabase(paths, async (db) => {
      const [{ compact }, { EXPIRED_SESSION_KEPT_MS }] = await Promise.all([
        import('../../src/storage/compaction.js'),
        import('../../src/server/maintenance.js'),
      ])
      await requireSchema(db)
      const now = systemClock.now()
      const sessionsExpiredBefore = now - EXPIRED_SESSION_KEPT_MS
      return compact(db, { ...options, now, sessionsExpiredBefore, progress: new Progress() })
    })
  }

  #print({ dead, bytesBefore, bytesAfter, freeBytesBefore }: CompactionReport): void {
    for (const { what, rows } of dead) {
      this.log(`${String(rows).padStart(10)} ${NAMES[what]}`)
    }
    const unused = freeBytesBefore === undefined ? '' : `, ${formatBytes(freeBytesBefore)} unused`
    if (bytesAfter === undefined) {
      this.log(`The database takes ${formatBytes(bytesBefore)}${unused}. Nothing was changed.`)
    } else {
      this.log(`The database takes ${formatBytes(bytesAfter)}; it was ${formatBytes(bytesBefore)}${unused}.`)
    }
  }
}
