import { Args } from '@oclif/core'
import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import type { ServerPlaces } from '../../src/cli/federation-requests.js'

export default class FederationResolve extends BaseCommand {
  static override summary = 'Show where the name of a server leads.'
  static override description =
    'Prints by which rule the server is found, and each place where it may be reached, in the order in which they are ' +
    'tried: host and port, addresses, the name that its certificate must be for.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> matrix.org',
    '<%= config.bin %> <%= command.id %> matrix.org --json',
  ]

  static override enableJsonFlag = true

  static override args = {
    server: Args.string({ ignoreStdin: true, required: true, description: "the server's name" }),
  }

  static override flags = { config: configFlag }

  async run(): Promise<ServerPlaces> {
    const { args, flags } = await this.parse(FederationResolve)
    const { resolveServer } = await import('../../src/cli/federation-requests.js')
    const { optionalConfig, serverNameArgument } = await import('../../src/cli/federation-network.js')
    const found = await resolveServer(serverNameArgument(args.server), await optionalConfig(flags.config))
    this.log(`rule         ${found.rule}`)
    this.log(`well-known   ${found.wellKnown ?? 'none'}`)
    for (const { host, port, addresses, certificateName } of found.places) {
      this.log(`place        ${host}:${port}`)
      this.log(`  addresses    ${addresses.length === 0 ? 'none' : addresses.join(', ')}`)
      this.log(`  certificate  for ${certificateName}`)
    }
    if (found.places.length === 0) this.log('The SRV record says that there is no such service.')
    if (found.places.every(({ addresses }) => addresses.length === 0)) process.exitCode = 1
    return found
  }
}
