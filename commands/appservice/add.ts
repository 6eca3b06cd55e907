import { Args } from '@oclif/core'
import { addAppservice, type RegistrationReport } from '../../src/cli/appservices.js'
import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import { configPaths } from '../../src/cli/config-paths.js'

export default class AppserviceAdd extends BaseCommand {
  static override summary = 'Add an application service, or change one that was added.'
  static override description =
    'Copies the registration into the database: the file is not needed afterwards. A server that runs and whose ' +
    'pid_file is known takes it on at once, others when they next start.'

  static override examples = ['<%= config.bin %> <%= command.id %> registration.yaml -c homeserver.yaml']
  static override enableJsonFlag = true

  static override args = {
    file: Args.string({ ignoreStdin: true, required: true, description: 'the registration file' }),
  }

  static override flags = { config: configFlag }

  async run(): Promise<RegistrationReport> {
    const { args, flags } = await this.parse(AppserviceAdd)
    const { id, remarks, isRunning } = await addAppservice(configPaths(flags.config), args.file)
    for (const remark of remarks) this.note(`warning: ${remark}`)
    this.log(`Added ${id}.`)
    if (!isRunning) this.note('It counts from the next start of the server, or its next SIGHUP.')
    return { id, remarks }
  }
}
