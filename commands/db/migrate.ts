import { Flags } from '@oclif/core'
import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import { configPaths } from '../../src/cli/config-paths.js'
import { withDatabase } from '../../src/cli/with-database.js'

interface Migrated {
  readonly database: string
  readonly taken: readonly string[]
  /** What would be done: with `--dry-run` alone. */
  readonly pending?: readonly string[]
}

export default class DbMigrate extends BaseCommand {
  static override summary = 'Bring the schema of the database up to date.'
  static override description =
    'The server does the same when it starts; this is for those who want it done before. Several processes may try at ' +
    'once: one does it, the others wait. --dry-run only says what is to be done. Safe to interrupt: each step is done ' +
    'as a whole or not at all.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml',
    '<%= config.bin %> <%= command.id %> --dry-run -c homeserver.yaml',
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml --json',
  ]

  static override enableJsonFlag = true

  static override flags = {
    config: configFlag,
    'dry-run': Flags.boolean({ char: 'n', default: false, description: 'change nothing' }),
  }

  async run(): Promise<Migrated> {
    const { flags } = await this.parse(DbMigrate)
    const dryRun = flags['dry-run']
    const migrated = await withDatabase(
      configPaths(flags.config),
      async (db, database): Promise<Migrated> => {
        const { migrate, migrationStatus } = await import('../../src/storage/migrator.js')
        const { pending } = await migrationStatus(db)
        if (dryRun) return { database, taken: [], pending }
        let step = 0
        const onStep = (name: string): void => this.note(`${name}, step ${++step} of ${pending.length}`)
        return { database, taken: await migrate(db, undefined, onStep) }
      },
    )
    for (const name of migrated.taken) this.log(`done  ${name}`)
    for (const name of migrated.pending ?? []) this.log(`to do ${name}`)
    const isUpToDate = migrated.taken.length === 0 && (migrated.pending ?? []).length === 0
    if (isUpToDate) this.log('The schema is up to date.')
    return migrated
  }
}
