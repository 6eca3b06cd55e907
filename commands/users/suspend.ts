import { AccountFlagCommand } from '../../src/cli/account-flag-command.js'

export default class UsersSuspend extends AccountFlagCommand {
  static override summary = 'Suspend an account, or end that.'
  static override description =
    'A suspended account can read, leave rooms and redact what it has said, and say nothing new; --remove ends that. ' +
    'The server may run, and is told.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> mallory -c homeserver.yaml',
    '<%= config.bin %> <%= command.id %> mallory --remove -c homeserver.yaml',
  ]

  protected override readonly words = { flag: 'isSuspended', state: 'suspended' } as const
}
