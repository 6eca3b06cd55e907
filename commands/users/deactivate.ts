import { Args, Flags } from '@oclif/core'
import { administrate, loadForAdministration, toUserId } from '../../src/cli/administration.js'
import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import { CommandFailure, UsageError } from '../../src/cli/failures.js'
import { configPaths } from '../../src/cli/config-paths.js'
import { askYesNo, isInteractive } from '../../src/cli/prompts.js'

interface Deactivated {
  readonly userId: string
  readonly erased: boolean
}

export default class UsersDeactivate extends BaseCommand {
  static override summary = 'End an account for good.'
  static override description =
    'Password, sessions, keys and account data go, and the user leaves all rooms. Nobody gets the name again. With ' +
    '--erase the profile goes too, and messages are hidden from people who join rooms later. Asks first if there is ' +
    'a terminal, and wants --yes where there is none. Doing it again takes up what was interrupted.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> mallory -c homeserver.yaml',
    '<%= config.bin %> <%= command.id %> mallory --erase --yes -c homeserver.yaml',
  ]

  static override enableJsonFlag = true

  static override args = {
    user: Args.string({ required: true, ignoreStdin: true, description: 'alice, or @alice:example.org' }),
  }

  static override flags = {
    config: configFlag,
    erase: Flags.boolean({
      default: false,
      description: 'remove the profile, and hide messages from those who join later',
    }),
    yes: Flags.boolean({ default: false, char: 'y', description: 'do not ask' }),
  }

  async run(): Promise<Deactivated> {
    const { flags, args } = await this.parse(UsersDeactivate)
    const config = await loadForAdministration(configPaths(flags.config))
    const userId = toUserId(args.user, config)
    if (!flags.yes) await confirm(userId)
    await administrate(config, 'users.deactivate', { userId, erase: flags.erase })
    this.log(`${userId} is deactivated${flags.erase ? ' and erased' : ''}.`)
    return { userId, erased: flags.erase }
  }
}

async function confirm(userId: string): Promise<void> {
  if (!isInteractive()) throw new UsageError('--yes is missing, and there is no terminal to ask at')
  if (!(await askYesNo(`End the account ${userId} for good?`, false))) throw new CommandFailure('Cancelled')
}
