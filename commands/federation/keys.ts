import { Args, Flags } from '@oclif/core'
import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import type { PublishedKeys } from '../../src/cli/federation-requests.js'
import { formatTable } from '../../src/cli/tables.js'

export default class FederationKeys extends BaseCommand {
  static override summary = 'Show the keys with which another server signs.'
  static override description =
    'Asks the server itself, or another one for its keys, and verifies what comes. Fails when the keys cannot be had or ' +
    'are not signed as they should be.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> matrix.org',
    '<%= config.bin %> <%= command.id %> example.org --notary matrix.org',
    '<%= config.bin %> <%= command.id %> matrix.org --json',
  ]

  static override enableJsonFlag = true

  static override args = {
    server: Args.string({ ignoreStdin: true, required: true, description: "the server's name" }),
  }

  static override flags = {
    config: configFlag,
    notary: Flags.string({ helpValue: 'SERVER', description: 'ask this server for the keys of the other' }),
  }

  async run(): Promise<PublishedKeys> {
    const { args, flags } = await this.parse(FederationKeys)
    const { fetchKeys } = await import('../../src/cli/federation-requests.js')
    const { optionalConfig, serverNameArgument } = await import('../../src/cli/federation-network.js')
    const published = await fetchKeys(await optionalConfig(flags.config), {
      serverName: serverNameArgument(args.server),
      notary: flags.notary === undefined ? undefined : serverNameArgument(flags.notary),
    })
    const rows = published.keys.map(({ keyId, publicKey, validUntil, isOld }) => [
      keyId,
      publicKey,
      isOld ? `was used until ${validUntil}` : `valid until ${validUntil}`,
    ])
    this.log(formatTable(['KEY', 'PUBLIC KEY', 'VALIDITY'], rows))
    return published
  }
}
