import { AccountFlagCommand } from '../../src/cli/account-flag-command.js'

export default class UsersLock extends AccountFlagCommand {
  static override summary = 'Lock an account, or unlock it.'
  static override description =
    'A locked account can do nothing but log out; its sessions stay, and work again when it is unlocked with --remove. ' +
    'The server may run, and is told.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> mallory -c homeserver.yaml',
    '<%= config.bin %> <%= command.id %> mallory --remove -c homeserver.yaml',
  ]

  protected override readonly words = { flag: 'isLocked', state: 'locked' } as const
}
