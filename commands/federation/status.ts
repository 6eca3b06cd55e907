import { Args } from '@oclif/core'
import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import { configPaths } from '../../src/cli/config-paths.js'
import { formatTable } from '../../src/cli/tables.js'
import { requireSchema, withDatabase } from '../../src/cli/with-database.js'

interface DestinationStatus {
  readonly server: string
  readonly failures: number
  /** In ISO 8601, as are other times. */
  readonly failingSince: string | null
  readonly retryAt: string | null
  readonly lastError: string | null
  readonly waiting: { readonly rooms: number; readonly messages: number; readonly deviceChanges: number }
}

const MAX_SHOWN = 10_000

export default class FederationStatus extends BaseCommand {
  static override summary = 'Show which servers do not answer, and what waits for them.'
  static override description =
    'Reads the database: the server need not run, and may. A server that answers and has been told everything is not ' +
    'listed. What waits is counted: rooms of which the server has missed something, messages to devices of its users, ' +
    'and changes of devices.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml',
    '<%= config.bin %> <%= command.id %> example.org',
    '<%= config.bin %> <%= command.id %> --json',
  ]

  static override enableJsonFlag = true

  static override args = {
    server: Args.string({ ignoreStdin: true, description: 'this server alone' }),
  }

  static override flags = { config: configFlag }

  async run(): Promise<readonly DestinationStatus[]> {
    const { args, flags } = await this.parse(FederationStatus)
    const { serverNameArgument } = await import('../../src/cli/federation-network.js')
    const { DestinationBacklogsStore } = await import('../../src/storage/stores/destination-backlogs.js')
    const only = args.server === undefined ? {} : { serverName: serverNameArgument(args.server) }
    const backlogs = await withDatabase(configPaths(flags.config), async (db) => {
      await requireSchema(db)
      return new DestinationBacklogsStore().list(db.reader, { ...only, limit: MAX_SHOWN })
    })
    const list = backlogs.map(({ serverName, failure, rooms, messages, deviceChanges }) => ({
      server: serverName,
      failures: failure?.failures ?? 0,
      failingSince: isoTime(failure?.failingSinceTs),
      retryAt: isoTime(failure?.retryAtTs),
      lastError: failure?.lastError ?? null,
      waiting: { rooms, messages, deviceChanges },
    }))
    this.#print(list, args.server)
    return list
  }

  #print(list: readonly DestinationStatus[], server: string | undefined): void {
    if (list.length === 0) {
      this.log(
        server === undefined ? 'All servers answer, and nothing waits.' : `Nothing waits for ${server}.`,
      )
      return
    }
    const rows = list.map(({ server: name, failures, retryAt, lastError, waiting }) => [
      name,
      String(failures),
      retryAt ?? '',
      `${waiting.rooms}/${waiting.messages}/${waiting.deviceChanges}`,
      lastError ?? '',
    ])
    this.log(formatTable(['SERVER', 'FAILURES', 'NEXT TRY', 'ROOMS/MESSAGES/DEVICES', 'LAST ERROR'], rows))
    if (list.length === MAX_SHOWN) this.note(`There may be more: only ${MAX_SHOWN} are shown`)
  }
}

function isoTime(ts: number | undefined): string | null {
  return ts === undefined ? null : new Date(ts).toISOString()
}
