import { Args } from '@oclif/core'
import { pingAppservice } from '../../src/cli/appservices.js'
import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import { configPaths } from '../../src/cli/config-paths.js'

export default class AppservicePing extends BaseCommand {
  static override summary = 'See whether an application service answers.'
  static override description = 'Asks it from this machine, with the token that the server uses.'
  static override examples = ['<%= config.bin %> <%= command.id %> irc-bridge -c homeserver.yaml']
  static override enableJsonFlag = true

  static override args = {
    id: Args.string({ ignoreStdin: true, required: true, description: 'the id of its registration' }),
  }

  static override flags = { config: configFlag }

  async run(): Promise<{ readonly durationMs: number }> {
    const { args, flags } = await this.parse(AppservicePing)
    const pong = await pingAppservice(configPaths(flags.config), args.id)
    this.log(`${args.id} answered within ${pong.durationMs} ms.`)
    return pong
  }
}
