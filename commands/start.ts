import { Flags } from '@oclif/core'
import { BaseCommand, configFlag } from '../src/cli/base-command.js'
import { configPaths } from '../src/cli/config-paths.js'
import { describeStart } from '../src/cli/start-screen.js'

export default class Start extends BaseCommand {
  static override summary = 'Start the homeserver.'
  static override description =
    'Runs in the foreground until SIGTERM or Ctrl-C, then finishes what it is doing and ends. SIGHUP opens the log anew ' +
    'and takes on new certificates, rate limits, signing keys and application services.'

  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> -c /etc/mxhs/homeserver.yaml -c /etc/mxhs/conf.d',
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml --check',
  ]

  static override flags = {
    config: configFlag,
    check: Flags.boolean({ description: 'check the configuration, and start nothing' }),
  }

  async run(): Promise<void> {
    const { flags } = await this.parse(Start)
    const paths = configPaths(flags.config)
    const { readCheckedConfig, runServer } = await import('../src/cli/serve.js')
    const checked = await readCheckedConfig(paths, { makeSecrets: !flags.check })
    this.noteWarnings(checked.warnings)
    if (flags.check) {
      this.log(`The configuration of ${checked.config.server.serverName} is valid.`)
      return
    }
    await runServer(checked, {
      paths,
      onStarted: ({ addresses }) => {
        this.note(describeStart(checked, { addresses, paths, version: this.config.version }))
      },
      onStopping: (signal) => this.note(`${signal}: finishing what runs`),
    })
    this.exit(0)
  }
}
