import { AccountFlagCommand } from '../../src/cli/account-flag-command.js'

export default class UsersSetAdmin extends AccountFlagCommand {
  static override summary = 'Make somebody an administrator of the server, or take that from them.'
  static override description =
    'In force with the next request of the account. The server may run, and is told.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> alice -c homeserver.yaml',
    '<%= config.bin %> <%= command.id %> alice --remove -c homeserver.yaml',
  ]

  protected override readonly words = { flag: 'isAdmin', state: 'an administrator' } as const
}
