import { Flags } from '@oclif/core'
import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import { CommandFailure } from '../../src/cli/failures.js'
import { configPaths } from '../../src/cli/config-paths.js'
import { formatBytes } from '../../src/cli/format-bytes.js'
import { formatDuration } from '../../src/cli/format-duration.js'
import { importSynapse, inspect, loadImportConfigs } from '../../src/cli/import-synapse.js'
import { formatTable } from '../../src/cli/tables.js'

type Inspection = Awaited<ReturnType<typeof inspect>>
type Taken = Awaited<ReturnType<typeof importSynapse>>

interface DryRun extends Inspection {
  readonly dryRun: true
}

interface Imported extends Taken {
  readonly tookMs: number
}

/** So many are shown; --json has more of them. */
const MAX_SHOWN = 20

const REASONS = {
  unknown_version: 'its room version is not known',
  partial_state: 'Synapse is still joining it: let Synapse run until it has',
} as const

export default class ImportSynapse extends BaseCommand {
  static override summary = 'Take over a Synapse: its users, their sessions and keys, and all rooms.'
  static override description =
    'Reads the database of a Synapse (SQLite or PostgreSQL, of version 1.74 or later; it is never written) into the ' +
    'database of the configuration, which must be a fresh one. Users keep their passwords, devices and sessions; their ' +
    'clients begin with one initial sync.\n\n' +
    'First --dry-run says what there is, and what will not come over. Then --while-running copies rooms while Synapse ' +
    'goes on, as often as one likes: only what is new is copied again. At last, with Synapse stopped, the same without ' +
    'it copies the rest and holds everything against the source: how many events every room has, its current state ' +
    'piece by piece, the hashes of a sample, and every row of everything else by checksums. Nothing is copied into a database after that.\n\n' +
    'Files stay where they are when both configurations name the same media_store_path, and are copied otherwise. It ' +
    'can be interrupted at any point and begun again.\n\n' +
    'Exit codes: 0 done, 1 failed or not the same as the source, 2 called in a wrong way.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> --from /etc/matrix-synapse/homeserver.yaml --dry-run',
    '<%= config.bin %> <%= command.id %> --from /etc/matrix-synapse/homeserver.yaml -c mxhs.yaml --while-running',
    '<%= config.bin %> <%= command.id %> --from /etc/matrix-synapse/homeserver.yaml -c mxhs.yaml',
    '<%= config.bin %> <%= command.id %> --from homeserver.yaml -c homeserver.yaml -c new-database.yaml',
  ]

  static override enableJsonFlag = true

  static override flags = {
    from: Flags.string({
      required: true,
      multiple: true,
      multipleNonGreedy: true,
      helpValue: 'FILE',
      description: "Synapse's homeserver.yaml, or a directory of *.yaml files (may repeat)",
    }),
    config: configFlag,
    'dry-run': Flags.boolean({
      exclusive: ['while-running'],
      description: 'change nothing: say what there is, and what will not come over',
    }),
    'while-running': Flags.boolean({
      description: 'copy rooms while Synapse runs, so that the last run is short',
    }),
  }

  async run(): Promise<DryRun | Imported> {
    const { flags } = await this.parse(ImportSynapse)
    if (flags['dry-run']) {
      const inspection = await inspect(flags.from)
      if (!this.jsonEnabled()) this.#showInspection(inspection)
      return { dryRun: true, ...inspection }
    }
    const configs = await loadImportConfigs({ from: flags.from, to: configPaths(flags.config) })
    for (const warning of configs.warnings) this.note(`warning: ${warning}`)
    const { Progress } = await import('../../src/cli/progress.js')
    const startedAt = performance.now()
    const isFinal = !flags['while-running']
    const taken = await importSynapse(configs, { isFinal, progress: new Progress() })
    return this.#show({ ...taken, tookMs: Math.round(performance.now() - startedAt) })
  }

  #showInspection(inspection: Inspection): void {
    const { engine, schemaVersion, rooms, events, tables, leftOut, leftOutRooms } = inspection
    const rows = [
      ['rooms', count(rooms)],
      ['events', count(events)],
      ...tables.filter((table) => table.rows > 0).map((table) => [table.what, count(table.rows)]),
    ]
    this.log(`Synapse on ${engine === 'sqlite' ? 'SQLite' : 'PostgreSQL'}, schema version ${schemaVersion}`)
    this.log('')
    this.log(formatTable(['comes over', ''], rows))
    if (leftOut.length > 0) {
      this.log('')
      this.log(
        formatTable(
          ['stays behind', '', 'since'],
          leftOut.map(({ what, count: n, why }) => [what, count(n), why]),
        ),
      )
    }
    this.#showLeftOutRooms(leftOutRooms)
  }

  #show(report: Imported): Imported {
    const { outcome, rooms, tables, media, verification, tookMs } = report
    const differences = verification?.differences ?? []
    if (!this.jsonEnabled()) {
      const lines = (tables ?? []).filter(({ read }) => read > 0)
      if (lines.length > 0) {
        this.log(
          formatTable(
            ['', 'there', 'here'],
            lines.map(({ what, read, written }) => [what, count(read), count(written)]),
          ),
        )
        this.log('')
      }
      this.log(
        `${count(rooms.events)} events were copied; of ${count(rooms.rooms)} rooms ${count(rooms.unchanged)} were ` +
          `there already. It took ${formatDuration(tookMs)}.`,
      )
      this.log(
        `${count(media.files)} files: ${count(media.copied)} were copied (${formatBytes(media.bytes)}), ` +
          `${count(media.missing)} are not on the disk.`,
      )
      this.#showLeftOutRooms(rooms.leftOut)
      for (const { eventId, reason } of rooms.unreadable.slice(0, MAX_SHOWN))
        this.log(`left out  ${eventId}  ${reason}`)
      for (const { kind, roomId, detail } of differences.slice(0, MAX_SHOWN))
        this.log(`differs   ${roomId ?? ''}  ${kind}: ${detail}`)
      if (verification) {
        this.log(
          `Compared: ${count(verification.events)} events of ${count(verification.rooms)} rooms, ` +
            `${count(verification.stateEntries)} pieces of current state, ${count(verification.hashes)} hashes, ` +
            `${count(verification.tables.reduce((sum, { rows }) => sum + rows, 0))} rows of everything else.`,
        )
      }
    }
    if (outcome === 'differs') return this.#fail(report)
    this.note(
      outcome === 'copied'
        ? 'Rooms are copied. Stop Synapse, and run the same without --while-running.'
        : 'Complete: everything is as it is there. Start the server, and do not start Synapse again.',
    )
    return report
  }

  #fail(report: Imported): Imported {
    const why = 'The copy is not the same as the source'
    if (!this.jsonEnabled()) throw new CommandFailure(why)
    this.note(why)
    this.logJson(report)
    return this.exit(1)
  }

  #showLeftOutRooms(rooms: Inspection['leftOutRooms']): void {
    if (rooms.length === 0) return
    this.log('')
    this.log(`${rooms.length} rooms stay behind:`)
    for (const { roomId, reason } of rooms.slice(0, MAX_SHOWN)) this.log(`  ${roomId}  ${REASONS[reason]}`)
    if (rooms.length > MAX_SHOWN) this.log(`  and ${rooms.length - MAX_SHOWN} more: --json lists them all`)
  }
}

function count(n: number): string {
  return n.toLocaleString('en-US')
}
