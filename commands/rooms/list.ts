import { Flags } from '@oclif/core'
import { withAdministrationTools, type AdministrationTools } from '../../src/cli/administration.js'
import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import { configPaths } from '../../src/cli/config-paths.js'
import { formatTable } from '../../src/cli/tables.js'

type Page = Awaited<ReturnType<AdministrationTools['roomOverviews']['list']>>

/** By what each is sorted, and whether the largest come first. */
const SORTS = {
  name: ['name', false],
  members: ['joinedMembers', true],
  local: ['localMembers', true],
  size: ['events', true],
  state: ['stateEvents', true],
  extremities: ['extremities', true],
  version: ['version', false],
  created: ['createdTs', true],
} as const

export default class RoomsList extends BaseCommand {
  static override summary = 'List the rooms that the server knows.'
  static override description =
    'Size is the number of events that are held; ends are forward extremities: a room with many of them is slow, and ' +
    'mxhs rooms repair looks after it. Reads the database: the server need not run, and may.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml',
    '<%= config.bin %> <%= command.id %> --sort size --limit 20 -c homeserver.yaml',
    '<%= config.bin %> <%= command.id %> --search cats --sort members -c homeserver.yaml',
    "<%= config.bin %> <%= command.id %> --empty --json -c homeserver.yaml | jq -r '.rooms[].roomId'",
  ]

  static override enableJsonFlag = true

  static override flags = {
    config: configFlag,
    search: Flags.string({ char: 's', description: 'only those with this in the name, alias or ID' }),
    public: Flags.boolean({ default: false, description: 'only rooms of the directory' }),
    empty: Flags.boolean({ default: false, description: 'only rooms that nobody is in' }),
    sort: Flags.option({
      options: Object.keys(SORTS) as (keyof typeof SORTS)[],
      description: 'by name, version or time, or those first that have most',
    })({ default: 'members' }),
    reverse: Flags.boolean({ default: false, description: 'the other way round' }),
    limit: Flags.integer({ default: 100, min: 1, max: 100_000, description: 'how many to list' }),
    from: Flags.integer({ default: 0, min: 0, description: 'how many to pass over' }),
  }

  async run(): Promise<Page> {
    const { flags } = await this.parse(RoomsList)
    const [orderBy, isDescending] = SORTS[flags.sort]
    const page = await withAdministrationTools(configPaths(flags.config), ({ roomOverviews }) =>
      roomOverviews.list({
        search: flags.search,
        isPublic: flags.public ? true : undefined,
        isEmpty: flags.empty ? true : undefined,
        orderBy,
        isDescending: isDescending !== flags.reverse,
        from: flags.from,
        limit: flags.limit,
      }),
    )
    if (!this.jsonEnabled()) this.#print(page, flags.from)
    return page
  }

  #print({ rooms, total }: Page, from: number): void {
    if (rooms.length > 0) {
      const rows = rooms.map((room) => [
        room.roomId,
        room.name ?? room.canonicalAlias ?? '-',
        `${room.joinedMembers} (${room.localMembers})`,
        String(room.events),
        String(room.stateEvents),
        String(room.extremities),
        room.version,
      ])
      this.log(formatTable(['room', 'name', 'members (ours)', 'events', 'state', 'ends', 'version'], rows))
    }
    const rest = total - from - rooms.length
    if (rest > 0) this.note(`${rest} more: --from ${from + rooms.length}`)
    else if (rooms.length === 0) this.note('There are none.')
  }
}
