import { Flags } from '@oclif/core'
import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import { configPaths } from '../../src/cli/config-paths.js'
import type { KeysSeen } from '../../src/cli/verify-keys.js'

interface Verified {
  readonly server: string
  readonly ok: boolean
  readonly seen: readonly KeysSeen[]
}

export default class KeysVerify extends BaseCommand {
  static override summary = 'See whether others see the keys that the server signs with.'
  static override description =
    'Reaches the server by its name, as others do, asks the servers of trusted_key_servers too, and holds what they ' +
    'answer against the configuration. A notary may know of a new key only after some time. Exit code 1 says that ' +
    'something differs, or could not be asked.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml',
    '<%= config.bin %> <%= command.id %> --notary matrix.org --json',
    '<%= config.bin %> <%= command.id %> --no-notaries',
  ]

  static override enableJsonFlag = true

  static override flags = {
    config: configFlag,
    notary: Flags.string({
      helpValue: 'SERVER',
      multiple: true,
      multipleNonGreedy: true,
      description: 'ask this server, instead of those of trusted_key_servers (may repeat)',
    }),
    'no-notaries': Flags.boolean({ exclusive: ['notary'], description: 'ask the server itself alone' }),
  }

  async run(): Promise<Verified> {
    const { flags } = await this.parse(KeysVerify)
    const [{ loadConfig }, { serverNameArgument }, { verifyKeys }] = await Promise.all([
      import('../../src/config/load.js'),
      import('../../src/cli/federation-network.js'),
      import('../../src/cli/verify-keys.js'),
    ])
    const { config } = await loadConfig(configPaths(flags.config))
    const trusted = config.signingKeys.trustedServers.map(({ serverName }) => serverName)
    const names = flags['no-notaries'] ? [] : (flags.notary ?? trusted)
    const seen = await verifyKeys(config, { notaries: names.map(serverNameArgument) })
    const ok = seen.every(({ problems }) => problems.length === 0)
    for (const { by, isNotary, problems, keys } of seen) {
      const who = isNotary ? `${by} (notary)` : by
      if (problems.length === 0) this.log(`ok     ${who}  ${keys.join(' ')}`)
      for (const problem of problems) this.log(`wrong  ${who}  ${problem}`)
    }
    if (!ok) process.exitCode = 1
    return { server: config.server.serverName, ok, seen }
  }
}
