import { Flags } from '@oclif/core'
import { BaseCommand } from '../../src/cli/base-command.js'
import { CommandFailure } from '../../src/cli/failures.js'

export default class KeysGenerate extends BaseCommand {
  static override summary = 'Make a new signing key.'
  static override description =
    'Prints the text of a key file (ed25519 a_AbCd <private key in Base64>), or writes it to a new file that only its ' +
    'owner can read. Never overwrites anything.'

  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --output example.org.signing.key',
  ]

  static override enableJsonFlag = true

  static override flags = {
    output: Flags.string({ char: 'o', helpValue: 'FILE', description: 'the file to write' }),
  }

  async run(): Promise<{ path?: string; key?: string }> {
    const { flags } = await this.parse(KeysGenerate)
    const { newSigningKey, writeIfNew } = await import('../../src/config/generate.js')
    const key = newSigningKey()
    const path = flags.output
    if (path === undefined) {
      if (!this.jsonEnabled()) process.stdout.write(key)
      return { key: key.trim() }
    }
    const { existed } = await writeIfNew(path, { content: key, mode: 0o600 })
    if (existed) throw new CommandFailure(`${path} exists already and has been left as it is`)
    this.log(path)
    return { path }
  }
}
