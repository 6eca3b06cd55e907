import { Args } from '@oclif/core'
import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import { configPaths } from '../../src/cli/config-paths.js'
import { requireSchema, withDatabase } from '../../src/cli/with-database.js'

interface Retried {
  readonly server: string
  /** False: it was not known to fail. */
  readonly wasFailing: boolean
}

export default class FederationRetry extends BaseCommand {
  static override summary = 'Try a server again that does not answer, without waiting for its time.'
  static override description =
    'Leaves a note in the database: a server that runs finds it within fifteen seconds, forgets that the other one has ' +
    'failed, and sends what waits for it.'

  static override examples = ['<%= config.bin %> <%= command.id %> example.org -c homeserver.yaml']

  static override enableJsonFlag = true

  static override args = {
    server: Args.string({ ignoreStdin: true, required: true, description: "the server's name" }),
  }

  static override flags = { config: configFlag }

  async run(): Promise<Retried> {
    const { args, flags } = await this.parse(FederationRetry)
    const { serverNameArgument } = await import('../../src/cli/federation-network.js')
    const { DestinationsStore } = await import('../../src/storage/stores/destinations.js')
    const server = serverNameArgument(args.server)
    const wasFailing = await withDatabase(configPaths(flags.config), async (db) => {
      await requireSchema(db)
      return db.write('request_retry', (tx) => new DestinationsStore().requestRetry(tx, server))
    })
    this.log(
      wasFailing ? `${server} is tried again within fifteen seconds.` : `${server} is not known to fail.`,
    )
    return { server, wasFailing }
  }
}
