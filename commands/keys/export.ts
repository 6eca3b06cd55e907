import { Args, Flags } from '@oclif/core'
import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import { readKeys } from '../../src/cli/key-files.js'
import { systemClock } from '../../src/util/clock.js'

interface ExportedKey {
  readonly keyId: string
  readonly publicKey: string
  readonly expiredTs?: number
}

const SIX_HOURS_MS = 6 * 60 * 60_000

export default class KeysExport extends BaseCommand {
  static override summary = 'Print signing keys in the form in which others want them.'
  static override description =
    'Prints the ID and the public key of each key. With --old, prints lines for old_signing_keys: for keys with which ' +
    'the server signs no more, so that what they have signed can still be verified.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> example.org.signing.key',
    '<%= config.bin %> <%= command.id %> --old old.signing.key',
    '<%= config.bin %> <%= command.id %> -x --expiry-ts 1700000000000 old.signing.key',
  ]

  static override enableJsonFlag = true

  static override strict = false

  static override args = {
    files: Args.string({
      ignoreStdin: true,
      description: 'key files (several may be given), instead of that of the configuration',
    }),
  }

  static override flags = {
    config: configFlag,
    old: Flags.boolean({ char: 'x', description: 'as lines for old_signing_keys' }),
    'expiry-ts': Flags.integer({
      helpValue: 'MS',
      min: 0,
      dependsOn: ['old'],
      description: 'when the keys stopped being used, in milliseconds since 1970 (default: in six hours)',
    }),
  }

  async run(): Promise<readonly ExportedKey[]> {
    const { argv, flags } = await this.parse(KeysExport)
    const keys = await readKeys(argv.map(String), flags.config)
    const expiredTs = flags['expiry-ts'] ?? systemClock.now() + SIX_HOURS_MS
    return keys.map(({ keyId, key }) => {
      const publicKey = key.verifyKey.base64
      this.log(
        flags.old ? `"${keyId}": { key: "${publicKey}", expired_ts: ${expiredTs} }` : `${keyId} ${publicKey}`,
      )
      return { keyId, publicKey, ...(flags.old ? { expiredTs } : {}) }
    })
  }
}
