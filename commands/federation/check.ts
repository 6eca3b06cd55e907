import { Args } from '@oclif/core'
import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import { configPaths } from '../../src/cli/config-paths.js'
import type { FederationReport } from '../../src/cli/federation-check.js'

const MARKS = { ok: 'ok     ', warning: 'warning', failed: 'FAILED ', skipped: '-      ' } as const

export default class FederationCheck extends BaseCommand {
  static override summary = 'Check whether a server can be reached over federation, step by step.'
  static override description =
    'Goes the way that servers go: delegation, SRV records, addresses, certificates, version and keys; each step that ' +
    'does not lead on comes with its cause and what helps. With a configuration, another server is seen as the server ' +
    'of that configuration sees it. Without SERVER, the server of the configuration itself is looked at, as others see ' +
    'it. The exit code is 1 when a step has failed.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml',
    '<%= config.bin %> <%= command.id %> matrix.org',
    '<%= config.bin %> <%= command.id %> matrix.org --json',
  ]

  static override enableJsonFlag = true

  static override args = {
    server: Args.string({
      ignoreStdin: true,
      description: "the server's name; that of the configuration when absent",
    }),
  }

  static override flags = { config: configFlag }

  async run(): Promise<FederationReport> {
    const { args, flags } = await this.parse(FederationCheck)
    const { checkOwnServer, checkServer } = await import('../../src/cli/federation-check.js')
    const { optionalConfig, serverNameArgument } = await import('../../src/cli/federation-network.js')
    const report =
      args.server === undefined
        ? await checkOwnServer((await optionalConfig(configPaths(flags.config)))!)
        : await checkServer(serverNameArgument(args.server), await optionalConfig(flags.config))
    this.#print(report)
    if (!report.ok) process.exitCode = 1
    return report
  }

  #print({ server, ok, steps }: FederationReport): void {
    for (const { step, outcome, summary, cause, cure } of steps) {
      this.log(`${MARKS[outcome]}  ${step.padEnd(13)}  ${summary}`)
      if (cause !== undefined) this.log(`${' '.repeat(24)}why:  ${cause}`)
      if (cure !== undefined) this.log(`${' '.repeat(24)}cure: ${cure}`)
    }
    this.log(ok ? `${server} can be reached.` : `${server} cannot be reached.`)
  }
}
