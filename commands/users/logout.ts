import { Args, Flags } from '@oclif/core'
import { administrate, loadForAdministration, toUserId } from '../../src/cli/administration.js'
import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import { configPaths } from '../../src/cli/config-paths.js'

interface LoggedOut {
  readonly userId: string
  /** Those that are gone. */
  readonly devices: readonly string[]
}

export default class UsersLogout extends BaseCommand {
  static override summary = 'End all sessions of an account, or the session of one device.'
  static override description =
    'Access tokens stop working at once, and the devices go with their keys. The server may run, and is told.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> alice -c homeserver.yaml',
    '<%= config.bin %> <%= command.id %> alice --device ABCDEFGH -c homeserver.yaml',
  ]

  static override enableJsonFlag = true

  static override args = {
    user: Args.string({ required: true, ignoreStdin: true, description: 'alice, or @alice:example.org' }),
  }

  static override flags = {
    config: configFlag,
    device: Flags.string({ char: 'd', helpValue: 'ID', description: 'only this device' }),
  }

  async run(): Promise<LoggedOut> {
    const { flags, args } = await this.parse(UsersLogout)
    const config = await loadForAdministration(configPaths(flags.config))
    const userId = toUserId(args.user, config)
    const { devices } = await administrate(config, 'users.logout', {
      userId,
      ...(flags.device === undefined ? {} : { deviceId: flags.device }),
    })
    const ended = devices as string[]
    this.log(
      flags.device === undefined
        ? `${userId} has no sessions any more (${ended.length} devices).`
        : `The session of ${flags.device} has ended.`,
    )
    return { userId, devices: ended }
  }
}
