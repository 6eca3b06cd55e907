import { Args } from '@oclif/core'
import { removeAppservice } from '../../src/cli/appservices.js'
import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import { configPaths } from '../../src/cli/config-paths.js'

export default class AppserviceRemove extends BaseCommand {
  static override summary = 'Remove an application service that was added.'
  static override description =
    'Its users and rooms remain. Those of app_service_config_files are removed from the configuration instead.'

  static override examples = ['<%= config.bin %> <%= command.id %> irc-bridge -c homeserver.yaml']
  static override enableJsonFlag = true

  static override args = {
    id: Args.string({ ignoreStdin: true, required: true, description: 'the id of its registration' }),
  }

  static override flags = { config: configFlag }

  async run(): Promise<{ readonly id: string }> {
    const { args, flags } = await this.parse(AppserviceRemove)
    const { isRunning } = await removeAppservice(configPaths(flags.config), args.id)
    this.log(`Removed ${args.id}.`)
    if (!isRunning) this.note('It counts from the next start of the server, or its next SIGHUP.')
    return { id: args.id }
  }
}
