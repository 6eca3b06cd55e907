import { Args } from '@oclif/core'
import { checkRegistration, type RegistrationReport } from '../../src/cli/appservices.js'
import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import { configPaths } from '../../src/cli/config-paths.js'

export default class AppserviceCheck extends BaseCommand {
  static override summary = 'Check a registration file of an application service.'
  static override description =
    'Says what is wrong with it, and what may not be as it was meant. Changes nothing.'
  static override examples = ['<%= config.bin %> <%= command.id %> registration.yaml -c homeserver.yaml']
  static override enableJsonFlag = true

  static override args = {
    file: Args.string({ ignoreStdin: true, required: true, description: 'the registration file' }),
  }

  static override flags = { config: configFlag }

  async run(): Promise<RegistrationReport> {
    const { args, flags } = await this.parse(AppserviceCheck)
    const { loadConfig } = await import('../../src/config/load.js')
    const { config } = await loadConfig(configPaths(flags.config))
    const { id, remarks } = await checkRegistration(args.file, config.server.serverName)
    for (const remark of remarks) this.note(`warning: ${remark}`)
    this.log(`The registration of ${id} is valid.`)
    return { id, remarks }
  }
}
