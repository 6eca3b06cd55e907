import { Args, Flags } from '@oclif/core'
import { administrate, loadForAdministration, requireOwnAccounts, toUserId } from './administration.js'
import { BaseCommand, configFlag } from './base-command.js'
import { configPaths } from './config-paths.js'

export interface AccountFlagChange {
  readonly userId: string
  /** What now holds. */
  readonly value: boolean
  /** False where it was so before. */
  readonly changed: boolean
}

/** What a flag is called where people read of it: `is` and `is no longer` come before it. */
export interface AccountFlagWords {
  readonly flag: 'isAdmin' | 'isLocked' | 'isSuspended'
  readonly state: string
}

/** Commands that say one thing of an account, or with `--remove` take it back. */
export abstract class AccountFlagCommand extends BaseCommand {
  static override enableJsonFlag = true

  static override args = {
    user: Args.string({ required: true, ignoreStdin: true, description: 'alice, or @alice:example.org' }),
  }

  static override flags = {
    config: configFlag,
    remove: Flags.boolean({ default: false, description: 'take it back' }),
  }

  protected abstract readonly words: AccountFlagWords

  async run(): Promise<AccountFlagChange> {
    const { flags, args } = await this.parse(AccountFlagCommand)
    const config = await loadForAdministration(configPaths(flags.config))
    const userId = toUserId(args.user, config)
    const { flag, state } = this.words
    if (flag === 'isAdmin') {
      requireOwnAccounts(
        config,
        'it says by its tokens who is an administrator (mas-cli manage promote-admin)',
      )
    }
    const value = !flags.remove
    const { changed } = await administrate(config, 'users.setFlag', { userId, flag, value })
    const sentence = `${userId} ${value ? 'is' : 'is no longer'} ${state}`
    this.log(changed === true ? `${sentence}.` : `${sentence}, as before.`)
    return { userId, value, changed: changed === true }
  }
}
