import { Args, Flags } from '@oclif/core'
import { toRoomId, withAdministrationTools } from '../../src/cli/administration.js'
import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import { UsageError } from '../../src/cli/failures.js'
import { configPaths } from '../../src/cli/config-paths.js'
import {
  describeEventExplanation,
  describeStateExplanation,
  type EventExplanation,
  type StateExplanation,
} from '../../src/cli/explanation-text.js'
import { roomArg } from '../../src/cli/room-arg.js'
import type { EventId } from '../../src/protocol/ids.js'

type Explanation = { readonly state: StateExplanation } | { readonly event: EventExplanation }

export default class RoomsExplain extends BaseCommand {
  static override summary = 'Say why the state of a room is what it is, or why an event was taken or refused.'
  static override description =
    'With an event: what became of it, each check that is made when events arrive, what it had to go by and the rule ' +
    'that refused. With --state: which events were sent for this piece of state, and what became of each: replaced, ' +
    'rejected, or lost where branches met, with all that state resolution tried there. The rules are those that ' +
    'decided. Reads the database: the server need not run, and may.'

  static override examples = [
    "<%= config.bin %> <%= command.id %> '!room:example.org' '$event' -c homeserver.yaml",
    "<%= config.bin %> <%= command.id %> '!room:example.org' --state m.room.power_levels -c homeserver.yaml",
    "<%= config.bin %> <%= command.id %> '#cats:example.org' --state m.room.member --key @alice:example.org " +
      '-c homeserver.yaml',
  ]

  static override enableJsonFlag = true

  static override args = {
    room: roomArg,
    event: Args.string({ ignoreStdin: true, description: 'the ID of an event' }),
  }

  static override flags = {
    config: configFlag,
    state: Flags.string({ char: 's', helpValue: 'TYPE', description: 'the type of a piece of state' }),
    key: Flags.string({
      char: 'k',
      helpValue: 'KEY',
      default: '',
      description: 'its state key, such as the user ID of a member; empty by default',
    }),
  }

  async run(): Promise<Explanation> {
    const { flags, args } = await this.parse(RoomsExplain)
    const { state: type, key: stateKey } = flags
    if ((type === undefined) === (args.event === undefined)) {
      throw new UsageError('Name an event, or a piece of state with --state TYPE')
    }
    const explanation = await withAdministrationTools(
      configPaths(flags.config),
      async (tools): Promise<Explanation> => {
        const roomId = await toRoomId(args.room, tools)
        return type === undefined
          ? { event: await tools.eventExplanations.explain(roomId, args.event as EventId) }
          : { state: await tools.stateExplanations.explain(roomId, { type, stateKey }) }
      },
    )
    if (!this.jsonEnabled()) this.#print(explanation)
    return explanation
  }

  #print(explanation: Explanation): void {
    const lines =
      'state' in explanation
        ? describeStateExplanation(explanation.state)
        : describeEventExplanation(explanation.event)
    for (const line of lines) this.log(line)
  }
}
