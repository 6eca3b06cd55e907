import { Args, Flags } from '@oclif/core'
import {
  administrate,
  loadForAdministration,
  requireOwnAccounts,
  toUserId,
} from '../../src/cli/administration.js'
import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import { UsageError } from '../../src/cli/failures.js'
import { configPaths } from '../../src/cli/config-paths.js'
import { askNewSecret, isInteractive, readStdinLine } from '../../src/cli/prompts.js'

interface Changed {
  readonly userId: string
  readonly devicesLoggedOut: boolean
}

export default class UsersSetPassword extends BaseCommand {
  static override summary = 'Give an account another password.'
  static override description =
    'The password is asked for, or read from one line of standard input where there is no terminal. Sessions go on ' +
    'unless --logout-devices ends them. The server may run, and is told.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> alice -c homeserver.yaml',
    '$ pwgen -s 24 1 | tee password.txt | <%= config.bin %> <%= command.id %> alice --logout-devices -c homeserver.yaml',
  ]

  static override enableJsonFlag = true

  static override args = {
    user: Args.string({ required: true, ignoreStdin: true, description: 'alice, or @alice:example.org' }),
  }

  static override flags = {
    config: configFlag,
    'logout-devices': Flags.boolean({ default: false, description: 'end all sessions of the account' }),
  }

  async run(): Promise<Changed> {
    const { flags, args } = await this.parse(UsersSetPassword)
    const config = await loadForAdministration(configPaths(flags.config))
    requireOwnAccounts(config, 'set the password there, with mas-cli manage set-password')
    const userId = toUserId(args.user, config)
    const password = isInteractive()
      ? await askNewSecret('Password', 'standard input')
      : await readStdinLine()
    if (password === '') throw new UsageError('The password is empty')
    const logoutDevices = flags['logout-devices']
    await administrate(config, 'users.setPassword', { userId, password, logoutDevices })
    this.log(`${userId} has a new password${logoutDevices ? ', and no sessions' : ''}.`)
    return { userId, devicesLoggedOut: logoutDevices }
  }
}
