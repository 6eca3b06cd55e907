import { Flags } from '@oclif/core'
import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import { configPaths } from '../../src/cli/config-paths.js'
import type { RotatedKey } from '../../src/config/rotate-signing-key.js'

interface Rotated extends RotatedKey {
  readonly isDryRun: boolean
  readonly reloaded: boolean
}

const MARGIN_MS = 5 * 60_000

export default class KeysRotate extends BaseCommand {
  static override summary = 'Let the server sign with a new key.'
  static override description =
    'Makes a new key, puts it in the place of the active one, and lists that in old_signing_keys, so that what it has ' +
    'signed can still be verified. Comments of homeserver.yaml stay. A running server takes the new key on at once; ' +
    'one that cannot be reached does so at its start, or at SIGHUP. The old private key is gone afterwards.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml',
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml --dry-run',
    '<%= config.bin %> <%= command.id %> --json | jq -r .keyId',
  ]

  static override enableJsonFlag = true

  static override flags = {
    config: configFlag,
    'dry-run': Flags.boolean({
      default: false,
      description: 'change nothing, and say which files would be changed',
    }),
    'expiry-ts': Flags.integer({
      helpValue: 'MS',
      min: 0,
      description:
        'when the old key stops being valid, in milliseconds since 1970 (default: in five minutes, by when the server ' +
        'signs with the new one); name an earlier time for a key that somebody else has',
    }),
  }

  async run(): Promise<Rotated> {
    const { flags } = await this.parse(KeysRotate)
    const paths = configPaths(flags.config)
    const [{ loadConfig }, { rotateSigningKey }, { systemClock }] = await Promise.all([
      import('../../src/config/load.js'),
      import('../../src/config/rotate-signing-key.js'),
      import('../../src/util/clock.js'),
    ])
    const { config } = await loadConfig(paths)
    const isDryRun = flags['dry-run']
    const expiredTs = flags['expiry-ts'] ?? systemClock.now() + MARGIN_MS
    const rotated = await rotateSigningKey({ paths, config, expiredTs, isDryRun })
    if (isDryRun) {
      for (const file of rotated.files) this.log(`would change  ${file}`)
      return { ...rotated, isDryRun, reloaded: false }
    }
    for (const file of rotated.files) this.log(`changed  ${file}`)
    this.log(`signs    ${rotated.keyId} ${rotated.publicKey}`)
    this.log(`old      ${rotated.old.keyId} until ${new Date(expiredTs).toISOString()}`)
    const { withRunningServer } = await import('../../src/cli/control-client.js')
    const answer = await withRunningServer(config, (client) => client.call('reload'))
    const reloaded = answer !== undefined
    this.log(
      reloaded
        ? 'The running server has taken the key on.'
        : 'No server is running that could be told: it takes the key on at its start, or at SIGHUP.',
    )
    return { ...rotated, isDryRun, reloaded }
  }
}
