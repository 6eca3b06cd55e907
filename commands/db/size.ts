import { Flags } from '@oclif/core'
import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import { configPaths } from '../../src/cli/config-paths.js'
import { formatBytes } from '../../src/cli/format-bytes.js'
import { formatTable } from '../../src/cli/tables.js'
import { requireSchema, withDatabase } from '../../src/cli/with-database.js'
import type { RoomSize, TableSize } from '../../src/storage/stores/database-size.js'

interface Sizes {
  readonly database: string
  readonly bytes: number
  /** Inside the file and unused; absent on PostgreSQL. */
  readonly freeBytes: number | undefined
  readonly tables: readonly TableSize[]
  readonly rooms: readonly RoomSize[]
}

export default class DbSize extends BaseCommand {
  static override summary = 'Show how much room the database takes, by table and by room.'
  static override description =
    'Reads the whole database, which takes a while where it is large. Changes nothing; the server may run.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml',
    "<%= config.bin %> <%= command.id %> --limit 50 --json -c homeserver.yaml | jq '.rooms[0]'",
  ]

  static override enableJsonFlag = true

  static override flags = {
    config: configFlag,
    limit: Flags.integer({ default: 10, min: 1, max: 10_000, description: 'how many rooms' }),
  }

  async run(): Promise<Sizes> {
    const { flags } = await this.parse(DbSize)
    const sizes = await withDatabase(configPaths(flags.config), async (db, database): Promise<Sizes> => {
      const { DatabaseSizeStore } = await import('../../src/storage/stores/database-size.js')
      await requireSchema(db)
      const store = new DatabaseSizeStore()
      const { bytes, freeBytes } = await store.total(db.reader)
      const tables = await store.byTable(db.reader)
      return { database, bytes, freeBytes, tables, rooms: await store.byRoom(db.reader, flags.limit) }
    })
    if (!this.jsonEnabled()) this.#print(sizes)
    return sizes
  }

  #print({ database, bytes, freeBytes, tables, rooms }: Sizes): void {
    const free = freeBytes === undefined ? '' : `, ${formatBytes(freeBytes)} of it unused`
    this.log(`${database}: ${formatBytes(bytes)}${free}`)
    const tableRows = tables
      .filter((table) => table.bytes + table.indexBytes >= bytes / 1_000)
      .map((table) => [table.name, formatBytes(table.bytes), formatBytes(table.indexBytes)])
    this.log(`\n${formatTable(['table', 'rows', 'indexes'], tableRows)}`)
    if (rooms.length === 0) return
    const roomRows = rooms.map((room) => [
      room.roomId,
      String(room.events),
      formatBytes(room.eventBytes),
      String(room.stateEvents),
      String(room.snapshots),
      formatBytes(room.snapshotBytes),
    ])
    this.log(`\n${formatTable(['room', 'events', 'size', 'state', 'snapshots', 'size'], roomRows)}`)
  }
}
