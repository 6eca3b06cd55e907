import { readFile } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { Args, Flags } from '@oclif/core'
import { requireOwnAccounts } from '../src/cli/administration.js'
import { BaseCommand, configFlag } from '../src/cli/base-command.js'
import { CommandFailure, UsageError } from '../src/cli/failures.js'
import { givenOrDefault } from '../src/cli/config-paths.js'
import { askNewSecret, askText, askYesNo, isInteractive, readStdinLine } from '../src/cli/prompts.js'
import type { NewUser } from '../src/cli/shared-secret-registration.js'

interface PasswordFlags {
  readonly password?: string | undefined
  readonly 'password-file'?: string | undefined
  readonly 'password-stdin': boolean
}

export default class RegisterUser extends BaseCommand {
  static override summary = 'Make an account on a running server.'
  static override description =
    'Works also where nobody may register, and needs a server that runs: it proves by the shared secret ' +
    '(registration_shared_secret) that it may. The secret and the URL of the server come from the configuration; -k ' +
    'and the argument say otherwise. What is missing is asked for, if there is a terminal.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml',
    '<%= config.bin %> <%= command.id %> -u alice --admin -c homeserver.yaml',
    '$ cat password.txt | <%= config.bin %> <%= command.id %> -u alice --no-admin --password-stdin -c homeserver.yaml',
    '<%= config.bin %> <%= command.id %> -u alice -p secret -k SHARED_SECRET https://matrix.example.org',
  ]

  static override enableJsonFlag = true

  static override args = {
    url: Args.string({
      ignoreStdin: true,
      description: 'the server; that of the configuration on this machine, or http://localhost:8008',
    }),
  }

  static override flags = {
    user: Flags.string({ char: 'u', description: 'the localpart: alice for @alice:example.org' }),
    password: Flags.string({
      char: 'p',
      description: 'the password; others on this machine can see it while the command runs',
      exclusive: ['password-file', 'password-stdin'],
    }),
    'password-file': Flags.string({
      helpValue: 'FILE',
      description: 'a file with the password in its first line',
      exclusive: ['password-stdin'],
    }),
    'password-stdin': Flags.boolean({ description: 'read the password from one line of standard input' }),
    user_type: Flags.string({
      char: 't',
      aliases: ['user-type'],
      description: 'the kind of user, such as bot or support',
    }),
    admin: Flags.boolean({
      char: 'a',
      allowNo: true,
      description: 'make the user a server administrator, or not',
    }),
    'exists-ok': Flags.boolean({ description: 'it is no failure when the user exists already' }),
    config: configFlag,
    'shared-secret': Flags.string({
      char: 'k',
      description: 'the shared secret, instead of that of the configuration',
      exclusive: ['config'],
    }),
  }

  async run(): Promise<unknown> {
    const { flags, args } = await this.parse(RegisterUser)
    const { secret, url } = await this.#target(flags, args.url)
    const username = flags.user ?? (await askUsername())
    if (username === '') throw new UsageError('The user name is empty')
    const password = await passwordOf(flags)
    if (password === '') throw new UsageError('The password is empty')
    const isAdmin = await isAdminOf(flags)
    const user = { username, password, isAdmin, userType: flags.user_type }
    return this.#register({ url, secret, existsOk: flags['exists-ok'] }, user)
  }

  async #register(
    { url, secret, existsOk }: { url: string; secret: string; existsOk: boolean },
    user: NewUser,
  ): Promise<unknown> {
    const { registerUser } = await import('../src/cli/shared-secret-registration.js')
    this.note('Sending registration request...')
    const answer = await registerUser(url, secret, user)
    if (answer === undefined) {
      if (!existsOk) throw new CommandFailure(`There is a user ${user.username} already`)
      this.log('User already exists. Skipping.')
      return { exists: true, username: user.username }
    }
    this.note('Success!')
    const { user_id: userId } = answer
    this.log(typeof userId === 'string' ? userId : user.username)
    return answer
  }

  async #target(
    flags: { config: string[] | undefined; 'shared-secret': string | undefined },
    givenUrl: string | undefined,
  ): Promise<{ secret: string; url: string }> {
    const { DEFAULT_SERVER_URL, localServerUrl } = await import('../src/cli/shared-secret-registration.js')
    if (givenUrl !== undefined && !URL.canParse(givenUrl)) throw new UsageError(`${givenUrl} is not a URL`)
    const given = flags['shared-secret']
    if (given !== undefined) {
      if (given === '') throw new UsageError('The shared secret is empty')
      return { secret: given, url: givenUrl ?? this.#defaultUrl(DEFAULT_SERVER_URL) }
    }
    const paths = givenOrDefault(flags.config)
    if (paths === undefined) {
      throw new UsageError('Name the configuration with -c FILE, or the shared secret with -k SECRET')
    }
    const { loadConfig } = await import('../src/config/load.js')
    const { config } = await loadConfig(paths)
    requireOwnAccounts(config, 'make them there, with mas-cli manage register-user')
    const secret = config.registration.sharedSecret
    if (secret === undefined || secret === '') {
      throw new CommandFailure(`There is no registration_shared_secret in ${paths.join(', ')}`)
    }
    const url = givenUrl ?? localServerUrl(config.listeners.list) ?? this.#defaultUrl(DEFAULT_SERVER_URL)
    return { secret, url }
  }

  #defaultUrl(url: string): string {
    this.note(`No server URL was given: using ${url}`)
    return url
  }
}

/** oclif's own type does not say that a flag without a default may be absent. */
async function isAdminOf({ admin }: { admin?: boolean }): Promise<boolean> {
  return admin ?? (isInteractive() && (await askYesNo('Make admin', false)))
}

async function askUsername(): Promise<string> {
  const { username } = userInfo()
  return askText({ message: 'New user localpart', default: username, flag: '--user' })
}

async function passwordOf(flags: PasswordFlags): Promise<string> {
  if (flags.password !== undefined) return flags.password
  if (flags['password-stdin']) return readStdinLine()
  const file = flags['password-file']
  if (file === undefined) return askNewSecret('Password', '--password, --password-file or --password-stdin')
  try {
    return ((await readFile(file, 'utf8')).split('\n')[0] ?? '').replace(/\r$/, '')
  } catch (error) {
    throw new CommandFailure(`Cannot read the password: ${(error as Error).message}`, { cause: error })
  }
}
