import { Args } from '@oclif/core'
import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import { readKeys } from '../../src/cli/key-files.js'

interface PublicKey {
  readonly keyId: string
  readonly publicKey: string
}

export default class KeysShow extends BaseCommand {
  static override summary = "Show the server's public signing keys."
  static override description =
    'One line for each key of a key file, or of the configuration: its ID and the public key. The first is the one ' +
    'that the server signs with. Never shows the private key.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml',
    '<%= config.bin %> <%= command.id %> example.org.signing.key',
  ]

  static override enableJsonFlag = true

  static override args = {
    file: Args.string({ ignoreStdin: true, description: 'a key file, instead of that of the configuration' }),
  }

  static override flags = { config: configFlag }

  async run(): Promise<readonly PublicKey[]> {
    const { args, flags } = await this.parse(KeysShow)
    const keys = await readKeys(args.file === undefined ? [] : [args.file], flags.config)
    for (const { keyId, key } of keys) this.log(`${keyId} ${key.verifyKey.base64}`)
    return keys.map(({ keyId, key }) => ({ keyId, publicKey: key.verifyKey.base64 }))
  }
}
