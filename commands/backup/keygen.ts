import { Flags } from '@oclif/core'
import { BaseCommand } from '../../src/cli/base-command.js'
import { CommandFailure } from '../../src/cli/failures.js'

interface NewKey {
  readonly publicKey: string
  readonly path: string
}

export default class BackupKeygen extends BaseCommand {
  static override summary = 'Make a key for sealed backups.'
  static override description =
    'Writes the secret key to a new file, which only its owner can read, and prints the public key. Servers need only ' +
    'the public key: keep the secret one where it is not lost together with the server. Without it, nobody can read ' +
    'what has been sealed.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> --output backup.key',
    '<%= config.bin %> <%= command.id %> --output backup.key --json | jq -r .publicKey',
  ]

  static override enableJsonFlag = true

  static override flags = {
    output: Flags.string({ char: 'o', helpValue: 'FILE', required: true, description: 'the file to write' }),
  }

  async run(): Promise<NewKey> {
    const { flags } = await this.parse(BackupKeygen)
    const [{ makeBackupKeys }, { writeIfNew }] = await Promise.all([
      import('../../src/server/backup-tools.js'),
      import('../../src/config/generate.js'),
    ])
    const { publicKey, secretKey } = await makeBackupKeys()
    const content = `# Opens backups that were sealed to ${publicKey}\n${secretKey}\n`
    const { path, existed } = await writeIfNew(flags.output, { content, mode: 0o600 })
    if (existed) throw new CommandFailure(`${path} exists already and has been left as it is`)
    this.log(publicKey)
    return { publicKey, path }
  }
}
