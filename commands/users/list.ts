import { Flags } from '@oclif/core'
import { withAdministrationTools, type AdministrationTools } from '../../src/cli/administration.js'
import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import { configPaths } from '../../src/cli/config-paths.js'
import { formatTime } from '../../src/cli/format-time.js'
import { formatTable } from '../../src/cli/tables.js'

type Page = Awaited<ReturnType<AdministrationTools['accountOverviews']['list']>>
type Account = Page['accounts'][number]

const SORTS = {
  name: ['userId', false],
  created: ['createdTs', true],
  seen: ['lastSeenTs', true],
} as const

export default class UsersList extends BaseCommand {
  static override summary = 'List the accounts of this server.'
  static override description =
    'Accounts that have been deactivated are only listed with --deactivated or --all. Reads the database: the server ' +
    'need not run, and may.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml',
    '<%= config.bin %> <%= command.id %> --admins -c homeserver.yaml',
    '<%= config.bin %> <%= command.id %> --search ali --sort seen -c homeserver.yaml',
    "<%= config.bin %> <%= command.id %> --json -c homeserver.yaml | jq -r '.accounts[].userId'",
  ]

  static override enableJsonFlag = true

  static override flags = {
    config: configFlag,
    admins: Flags.boolean({ description: 'only administrators' }),
    guests: Flags.boolean({ description: 'only guests' }),
    locked: Flags.boolean({ description: 'only accounts that are locked' }),
    suspended: Flags.boolean({ description: 'only accounts that are suspended' }),
    deactivated: Flags.boolean({
      default: false,
      description: 'only accounts that have been deactivated',
      exclusive: ['all'],
    }),
    all: Flags.boolean({ default: false, description: 'also accounts that have been deactivated' }),
    search: Flags.string({ char: 's', description: 'only those with this in the user ID or display name' }),
    sort: Flags.option({
      options: Object.keys(SORTS) as (keyof typeof SORTS)[],
      description: 'by name, the newest first, or those first who were last seen',
    })({ default: 'name' }),
    limit: Flags.integer({ default: 100, min: 1, max: 100_000, description: 'how many to list' }),
    from: Flags.integer({ default: 0, min: 0, description: 'how many to pass over' }),
  }

  async run(): Promise<Page> {
    const { flags } = await this.parse(UsersList)
    const [orderBy, isDescending] = SORTS[flags.sort]
    const onlyIf = (flag: boolean): true | undefined => (flag ? true : undefined)
    const page = await withAdministrationTools(configPaths(flags.config), ({ accountOverviews }) =>
      accountOverviews.list(
        {
          isAdmin: onlyIf(flags.admins),
          isGuest: onlyIf(flags.guests),
          isLocked: onlyIf(flags.locked),
          isSuspended: onlyIf(flags.suspended),
          isDeactivated: flags.all ? undefined : flags.deactivated,
          search: flags.search,
        },
        { orderBy, isDescending, from: flags.from, limit: flags.limit },
      ),
    )
    if (!this.jsonEnabled()) this.#print(page, flags.from)
    return page
  }

  #print({ accounts, total }: Page, from: number): void {
    if (accounts.length > 0) {
      const rows = accounts.map((account) => [
        account.userId,
        account.displayName ?? '-',
        marksOf(account),
        formatTime(account.createdTs),
        formatTime(account.lastSeenTs),
      ])
      this.log(formatTable(['user', 'name', 'is', 'created', 'last seen'], rows))
    }
    const rest = total - from - accounts.length
    if (rest > 0) this.note(`${rest} more: --from ${from + accounts.length}`)
    else if (accounts.length === 0) this.note('There are none.')
  }
}

function marksOf(account: Account): string {
  const marks = [
    account.isAdmin && 'admin',
    account.isGuest && 'guest',
    account.isDeactivated && 'deactivated',
    account.isErased && 'erased',
    account.isLocked && 'locked',
    account.isSuspended && 'suspended',
    account.isShadowBanned && 'shadow-banned',
    account.userType,
    account.appserviceId !== undefined && `of ${account.appserviceId}`,
  ].filter((mark) => typeof mark === 'string')
  return marks.length === 0 ? '-' : marks.join(', ')
}
