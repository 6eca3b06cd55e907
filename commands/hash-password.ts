import { Flags } from '@oclif/core'
import { BaseCommand, configFlag } from '../src/cli/base-command.js'
import { UsageError } from '../src/cli/failures.js'
import { givenOrDefault } from '../src/cli/config-paths.js'
import { askNewSecret, isInteractive, readStdinLine } from '../src/cli/prompts.js'

/** bcrypt looks at no more of a password. */
const MAX_BYTES = 72

export default class HashPassword extends BaseCommand {
  static override summary = 'Hash a password as the database keeps it.'
  static override description =
    'Reads the password from the terminal, or one line of standard input, and prints its bcrypt hash. The pepper and ' +
    'the number of rounds are those of the configuration.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml',
    '$ cat password.txt | <%= config.bin %> <%= command.id %> -c homeserver.yaml',
  ]

  static override enableJsonFlag = true

  static override flags = {
    config: configFlag,
    password: Flags.string({
      char: 'p',
      description: 'the password; others on this machine can see it while the command runs',
    }),
    rounds: Flags.integer({
      char: 'r',
      min: 4,
      max: 31,
      description: 'the cost, instead of bcrypt_rounds: each one more doubles the work',
    }),
  }

  async run(): Promise<{ hash: string }> {
    const { flags } = await this.parse(HashPassword)
    const paths = givenOrDefault(flags.config)
    const { rounds, pepper } = await settingsOf(paths)
    const password = flags.password ?? (await this.#readPassword())
    if (password === '') throw new UsageError('The password is empty')
    if (Buffer.byteLength(password.normalize('NFKC') + pepper) > MAX_BYTES) {
      this.note(`note: bcrypt looks only at the first ${MAX_BYTES} bytes of password and pepper`)
    }
    const { BcryptHasher } = await import('../src/util/password-hash.js')
    const hash = await new BcryptHasher({ rounds: flags.rounds ?? rounds, pepper }).hash(password)
    this.log(hash)
    return { hash }
  }

  async #readPassword(): Promise<string> {
    return isInteractive() ? askNewSecret('Password', '--password') : readStdinLine()
  }
}

async function settingsOf(paths: readonly string[] | undefined): Promise<{ rounds: number; pepper: string }> {
  if (paths === undefined) return { rounds: 12, pepper: '' }
  const { loadConfig } = await import('../src/config/load.js')
  const { config } = await loadConfig(paths)
  const { bcryptRounds: rounds, pepper } = config.sessions.passwords
  return { rounds, pepper }
}
