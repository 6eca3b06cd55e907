import { toRoomId, withAdministrationTools, type AdministrationTools } from '../../src/cli/administration.js'
import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import { configPaths } from '../../src/cli/config-paths.js'
import { formatBytes } from '../../src/cli/format-bytes.js'
import { formatTime } from '../../src/cli/format-time.js'
import { roomArg } from '../../src/cli/room-arg.js'
import { formatTable } from '../../src/cli/tables.js'

type Room = Awaited<ReturnType<AdministrationTools['roomOverviews']['show']>>

export default class RoomsShow extends BaseCommand {
  static override summary = 'Show a room: its members, its state, its ends and how much it takes.'
  static override description = 'Reads the database: the server need not run, and may.'
  static override examples = [
    "<%= config.bin %> <%= command.id %> '!room:example.org' -c homeserver.yaml",
    "<%= config.bin %> <%= command.id %> '#cats:example.org' --json -c homeserver.yaml | jq '.ends'",
  ]

  static override enableJsonFlag = true

  static override args = { room: roomArg }

  static override flags = { config: configFlag }

  async run(): Promise<Room> {
    const { flags, args } = await this.parse(RoomsShow)
    const room = await withAdministrationTools(configPaths(flags.config), async (tools) =>
      tools.roomOverviews.show(await toRoomId(args.room, tools)),
    )
    if (!this.jsonEnabled()) this.#print(room)
    return room
  }

  #print(room: Room): void {
    for (const [name, value] of [...settingsOf(room), ...amountsOf(room)]) {
      this.log(`${name.padEnd(14)}${value}`)
    }
    const rows = room.ends.map((end) => [
      end.eventId,
      end.type,
      end.sender,
      String(end.depth),
      formatTime(end.originServerTs),
    ])
    if (rows.length > 0) this.log(`\n${formatTable(['end', 'type', 'sender', 'depth', 'time'], rows)}`)
    if (room.extremities > rows.length) this.note(`${room.extremities - rows.length} more ends`)
  }
}

function settingsOf(room: Room): [string, string][] {
  return [
    ['room', room.roomId],
    ['name', room.name ?? '-'],
    ['topic', room.topic?.split('\n')[0] ?? '-'],
    ['alias', room.canonicalAlias ?? '-'],
    ['our aliases', listed(room.aliases)],
    ['version', room.version],
    ['kind', room.roomType ?? '-'],
    ['creator', room.creator],
    ['directory', room.isPublic ? 'listed' : 'not listed'],
    ['joining', room.joinRule ?? 'invite'],
    ['history', room.historyVisibility ?? 'shared'],
    ['guests', room.guestAccess ?? 'forbidden'],
    ['encryption', room.encryption ?? '-'],
    ['federated', room.isFederated ? 'yes' : 'no'],
    ['replaced by', room.replacement ?? '-'],
  ]
}

function amountsOf(room: Room): [string, string][] {
  const { eventCounts: events, snapshots } = room
  return [
    ['members', `${counts(room.members)}; ${room.localMembers} of ours are in it`],
    ['events', eventsLine(room)],
    ['', `${formatBytes(events.bytes)}, ${formatTime(events.oldestTs)} to ${formatTime(events.newestTs)}`],
    ['missing', `${room.missingEvents} events that others refer to`],
    ['snapshots', `${snapshots.snapshots}, ${formatBytes(snapshots.bytes)}`],
    ['state', counts(room.stateTypes)],
  ]
}

function eventsLine({ eventCounts: events }: Room): string {
  const parts = [
    `${events.total}`,
    events.backfilled > 0 && `${events.backfilled} of history`,
    events.outliers > 0 && `${events.outliers} outliers`,
    events.rejected > 0 && `${events.rejected} rejected`,
    events.softFailed > 0 && `${events.softFailed} soft-failed`,
  ]
  return parts.filter((part) => typeof part === 'string').join(', ')
}

function counts(byName: Readonly<Record<string, number>>): string {
  return listed(Object.entries(byName).map(([name, count]) => `${count} ${name}`))
}

function listed(parts: readonly string[]): string {
  return parts.length === 0 ? '-' : parts.join(', ')
}
