import { BaseCommand, configFlag } from '../src/cli/base-command.js'
import { checkConfig, type ConfigReport } from '../src/cli/check-config.js'
import { configPaths } from '../src/cli/config-paths.js'

export default class CheckConfig extends BaseCommand {
  static override summary = 'Check a configuration without starting the server.'
  static override description =
    'Reads the configuration as the server would, with the files that it leads to (signing key, certificates, log). ' +
    'Errors and warnings name the file, line and column.'

  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml -c conf.d',
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml --json',
  ]

  static override enableJsonFlag = true

  static override flags = { config: configFlag }

  async run(): Promise<ConfigReport> {
    const { flags } = await this.parse(CheckConfig)
    const report = await checkConfig(configPaths(flags.config))
    if (!this.jsonEnabled()) this.noteWarnings(report.warnings)
    this.log(`The configuration of ${report.serverName} is valid.`)
    return report
  }
}
