import { listAppservices, type ListedAppservice } from '../../src/cli/appservices.js'
import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import { configPaths } from '../../src/cli/config-paths.js'

export default class AppserviceList extends BaseCommand {
  static override summary = 'List the application services and how they are doing.'
  static override description =
    'Those of app_service_config_files and those that were added: where they are, whether they take what they are ' +
    'sent, and how many transactions were put aside.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml',
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml --json',
  ]

  static override enableJsonFlag = true

  static override flags = { config: configFlag }

  async run(): Promise<readonly ListedAppservice[]> {
    const { flags } = await this.parse(AppserviceList)
    const services = await listAppservices(configPaths(flags.config))
    for (const service of services) {
      this.log(
        `${service.id}  ${service.state}  ${service.url ?? '-'}  ${service.sender}  (${service.source})`,
      )
      if (service.failingSinceTs !== null) {
        const since = new Date(service.failingSinceTs).toISOString()
        this.log(`  failing since ${since}, ${service.failures} attempts: ${service.lastError ?? ''}`)
      }
      if (service.deadLetters > 0) this.log(`  ${service.deadLetters} transactions were put aside`)
    }
    if (services.length === 0) this.note('There are no application services.')
    return services
  }
}
