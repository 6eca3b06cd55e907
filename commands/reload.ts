import { BaseCommand, configFlag } from '../src/cli/base-command.js'
import { CommandFailure } from '../src/cli/failures.js'
import { configPaths } from '../src/cli/config-paths.js'

interface Reloaded {
  readonly warnings: readonly string[]
}

export default class Reload extends BaseCommand {
  static override summary = 'Let the running server read its configuration again.'
  static override description =
    'As SIGHUP does, but it says what came of it: opens the log anew and takes on new certificates, rate limits, signing ' +
    'keys and application services. Everything else needs a restart. Fails when no server runs, or when the ' +
    'configuration cannot be used; then the old one remains.'

  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> -c /etc/mxhs/homeserver.yaml',
  ]

  static override enableJsonFlag = true

  static override flags = { config: configFlag }

  async run(): Promise<Reloaded> {
    const { flags } = await this.parse(Reload)
    const [{ loadConfig }, { withRunningServer }] = await Promise.all([
      import('../src/config/load.js'),
      import('../src/cli/control-client.js'),
    ])
    const { config } = await loadConfig(configPaths(flags.config))
    const reloaded = await withRunningServer(config, (client) => client.call('reload'))
    if (reloaded === undefined) throw new CommandFailure('No server runs with this configuration')
    const { warnings } = reloaded as { warnings: string[] }
    for (const warning of warnings) this.note(`warning: ${warning}`)
    this.log('The server has read its configuration again.')
    return { warnings }
  }
}
