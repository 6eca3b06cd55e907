import { Flags } from '@oclif/core'
import { withAdministrationTools, type AdministrationTools } from '../../src/cli/administration.js'
import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import { UsageError } from '../../src/cli/failures.js'
import { configPaths } from '../../src/cli/config-paths.js'
import { formatTime } from '../../src/cli/format-time.js'
import { parseDurationMs } from '../../src/config/units.js'
import { systemClock } from '../../src/util/clock.js'

type SignUps = Awaited<ReturnType<AdministrationTools['accountOverviews']['listSignUps']>>

export default class UsersRecent extends BaseCommand {
  static override summary = 'List the newest accounts, with what shows who only wants to be rid of something.'
  static override description =
    'When they were made, their e-mail addresses, from where they came, and in how many public and private rooms ' +
    'they are. Reads the database: the server need not run, and may.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml',
    '<%= config.bin %> <%= command.id %> --since 24h --exclude-app-service -c homeserver.yaml',
    '<%= config.bin %> <%= command.id %> --only-users -c homeserver.yaml',
  ]

  static override enableJsonFlag = true

  static override flags = {
    config: configFlag,
    since: Flags.string({
      char: 's',
      default: '7d',
      description: 'how far back to look, such as 90m, 24h or 7d',
    }),
    'exclude-emails': Flags.boolean({
      default: false,
      char: 'e',
      description: 'only accounts without an e-mail address',
    }),
    'only-users': Flags.boolean({ default: false, char: 'u', description: 'print nothing but user IDs' }),
    'exclude-app-service': Flags.boolean({
      default: false,
      char: 'a',
      description: 'not the accounts of application services',
    }),
    limit: Flags.integer({ default: 10_000, min: 1, max: 100_000, description: 'how many to look at' }),
  }

  async run(): Promise<SignUps> {
    const { flags } = await this.parse(UsersRecent)
    const since = systemClock.now() - durationOf(flags.since)
    const found = await withAdministrationTools(configPaths(flags.config), ({ accountOverviews }) =>
      accountOverviews.listSignUps(since, {
        withAppservices: !flags['exclude-app-service'],
        limit: flags.limit,
      }),
    )
    const signUps = flags['exclude-emails'] ? found.filter(({ emails }) => emails.length === 0) : found
    if (!this.jsonEnabled()) this.#print(signUps, flags['only-users'])
    return signUps
  }

  #print(signUps: SignUps, onlyUsers: boolean): void {
    for (const { userId, createdTs, emails, addresses, publicRooms, privateRooms } of signUps) {
      this.log(userId)
      if (onlyUsers) continue
      this.log(`  created    ${formatTime(createdTs)}`)
      this.log(`  e-mail     ${emails.length === 0 ? '-' : emails.join(', ')}`)
      this.log(`  addresses  ${addresses.length === 0 ? '-' : addresses.join(', ')}`)
      this.log(`  rooms      ${publicRooms} public, ${privateRooms} private`)
    }
    if (signUps.length === 0) this.note('There are none.')
  }
}

/** In milliseconds. */
function durationOf(text: string): number {
  const duration = parseDurationMs(text)
  if (duration === undefined || duration < 0) {
    throw new UsageError(`${text} is no duration: write 90m, 24h or 7d`)
  }
  return duration
}
