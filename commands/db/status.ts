import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import { configPaths } from '../../src/cli/config-paths.js'
import { withDatabase } from '../../src/cli/with-database.js'

interface Status {
  readonly database: string
  readonly schemaVersion: number | null
  readonly applied: readonly string[]
  readonly pending: readonly string[]
}

export default class DbStatus extends BaseCommand {
  static override summary = 'Show what has been done to the schema of the database, and what is missing.'
  static override description = 'Changes nothing.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml',
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml --json',
  ]

  static override enableJsonFlag = true

  static override flags = { config: configFlag }

  async run(): Promise<Status> {
    const { flags } = await this.parse(DbStatus)
    const status = await withDatabase(configPaths(flags.config), async (db, name): Promise<Status> => {
      const { migrationStatus } = await import('../../src/storage/migrator.js')
      const { schemaVersion, applied, pending } = await migrationStatus(db)
      return { database: name, schemaVersion: schemaVersion ?? null, applied, pending }
    })
    if (!this.jsonEnabled()) this.#print(status)
    return status
  }

  #print({ database, schemaVersion, applied, pending }: Status): void {
    this.log(`database        ${database}`)
    this.log(`schema version  ${schemaVersion ?? 'none: it is new'}`)
    for (const name of applied) this.log(`  done          ${name}`)
    for (const name of pending) this.log(`  pending       ${name}`)
    this.log(pending.length === 0 ? 'Nothing is to be done.' : `${pending.length} to do: mxhs db migrate`)
  }
}
