import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import { configPaths } from '../../src/cli/config-paths.js'
import { withDatabase } from '../../src/cli/with-database.js'

interface Migrated {
  readonly database: string
  readonly taken: readonly string[]
}

export default class DbMigrate extends BaseCommand {
  static override summary = 'Bring the schema of the database up to date.'
  static override description =
    'The server does the same when it starts; this is for those who want it done before. Several processes may try at ' +
    'once: one does it, the others wait.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml',
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml --json',
  ]

  static override enableJsonFlag = true

  static override flags = { config: configFlag }

  async run(): Promise<Migrated> {
    const { flags } = await this.parse(DbMigrate)
    const migrated = await withDatabase(
      configPaths(flags.config),
      async (db, database): Promise<Migrated> => {
        const { migrate } = await import('../../src/storage/migrator.js')
        return { database, taken: await migrate(db) }
      },
    )
    for (const name of migrated.taken) this.log(`done  ${name}`)
    if (migrated.taken.length === 0) this.log('The schema is up to date.')
    return migrated
  }
}
