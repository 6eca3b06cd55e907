import { Flags } from '@oclif/core'
import { administrate, toRoomId, withAdministrationTools } from '../../src/cli/administration.js'
import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import { configPaths } from '../../src/cli/config-paths.js'
import { roomArg } from '../../src/cli/room-arg.js'
import { describeFinding } from '../../src/cli/room-findings.js'
import type { RoomRepairReport } from '../../src/server/administration-methods.js'

export default class RoomsRepair extends BaseCommand {
  static override summary =
    'Find out whether what is written of a room agrees with itself, and make it agree.'
  static override description =
    'Reads all events of the room and holds against them what is written of it: which events follow and authorize ' +
    'each other, the state at each event, the ends of the graph (forward extremities), the current state (which is ' +
    'that at the ends), the members and their counts. What is wrong is corrected; events are never changed. A state ' +
    'that is lost is found out from the events before it or, by a server that runs, asked of the other servers in ' +
    'the room; events that authorize others and are not held are fetched from them. --dry-run only says what is ' +
    'wrong, and asks nobody. Exits with 1 when something is wrong that cannot be repaired, or with --dry-run when ' +
    'anything is. The server may run, and does it then.'

  static override examples = [
    "<%= config.bin %> <%= command.id %> '!room:example.org' --dry-run -c homeserver.yaml",
    "<%= config.bin %> <%= command.id %> '!room:example.org' -c homeserver.yaml",
  ]

  static override enableJsonFlag = true

  static override args = { room: roomArg }

  static override flags = {
    config: configFlag,
    'dry-run': Flags.boolean({ char: 'n', default: false, description: 'change nothing' }),
  }

  async run(): Promise<RoomRepairReport> {
    const { flags, args } = await this.parse(RoomsRepair)
    const dryRun = flags['dry-run']
    const { roomId, config } = await withAdministrationTools(
      configPaths(flags.config),
      async (tools, loaded) => ({ roomId: await toRoomId(args.room, tools), config: loaded }),
    )
    const report = (await administrate(config, 'rooms.repair', {
      roomId,
      dryRun,
    })) as unknown as RoomRepairReport
    if (!this.jsonEnabled()) this.#print(report)
    if (report.obstacle !== undefined || (dryRun && report.findings.length > 0)) process.exitCode = 1
    return report
  }

  #print({ roomId, findings, omitted, isRepaired, obstacle }: RoomRepairReport): void {
    for (const finding of findings) this.log(describeFinding(finding))
    if (omitted > 0) this.note(`${omitted} more of these`)
    if (findings.length === 0) this.log(`${roomId} is as it should be.`)
    else if (isRepaired) this.note(`${roomId} has been repaired.`)
    else this.note('Nothing was changed.')
    if (obstacle !== undefined) this.note(`This stays: ${obstacle}`)
  }
}
