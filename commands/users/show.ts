import { Args } from '@oclif/core'
import { toUserId, withAdministrationTools, type AdministrationTools } from '../../src/cli/administration.js'
import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import { configPaths } from '../../src/cli/config-paths.js'
import { formatBytes } from '../../src/cli/format-bytes.js'
import { formatTime } from '../../src/cli/format-time.js'
import { formatTable } from '../../src/cli/tables.js'

type Account = Awaited<ReturnType<AdministrationTools['accountOverviews']['show']>>

export default class UsersShow extends BaseCommand {
  static override summary = 'Show an account: what it is, and its devices, rooms and files.'
  static override description = 'Reads the database: the server need not run, and may.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> alice -c homeserver.yaml',
    "<%= config.bin %> <%= command.id %> @alice:example.org --json -c homeserver.yaml | jq '.devices'",
  ]

  static override enableJsonFlag = true

  static override args = {
    user: Args.string({ required: true, ignoreStdin: true, description: 'alice, or @alice:example.org' }),
  }

  static override flags = { config: configFlag }

  async run(): Promise<Account> {
    const { flags, args } = await this.parse(UsersShow)
    const account = await withAdministrationTools(configPaths(flags.config), ({ accountOverviews }, config) =>
      accountOverviews.show(toUserId(args.user, config)),
    )
    if (!this.jsonEnabled()) this.#print(account)
    return account
  }

  #print(account: Account): void {
    const { rooms, media, threepids, devices, crossSigningKeys } = account
    const lines: [string, string][] = [
      ['user', account.userId],
      ['name', account.displayName ?? '-'],
      ['created', formatTime(account.createdTs)],
      ['last seen', formatTime(account.lastSeenTs)],
      ['admin', yesOrNo(account.isAdmin)],
      ['password', yesOrNo(account.hasPassword)],
      ['deactivated', account.isErased ? 'yes, and erased' : yesOrNo(account.isDeactivated)],
      ['locked', yesOrNo(account.isLocked)],
      ['suspended', yesOrNo(account.isSuspended)],
      ['shadow-banned', yesOrNo(account.isShadowBanned)],
      ['kind', account.isGuest ? 'guest' : (account.userType ?? '-')],
      ['service', account.appserviceId ?? '-'],
      ['addresses', listed(threepids.map(({ medium, address }) => `${address} (${medium})`))],
      ['rooms', listed(Object.entries(rooms).map(([membership, count]) => `${count} ${membership}`))],
      ['files', `${media.files}, ${formatBytes(media.bytes)}`],
      ['pushers', String(account.pushers)],
      ['cross-signing', listed(crossSigningKeys)],
    ]
    for (const [name, value] of lines) this.log(`${name.padEnd(15)}${value}`)
    if (account.devicelessTokens > 0) this.log(`${'other tokens'.padEnd(15)}${account.devicelessTokens}`)
    if (devices.length === 0) return
    const rows = devices.map((device) => [
      device.deviceId,
      device.displayName ?? '-',
      formatTime(device.lastSeenTs),
      device.lastSeenIp ?? '-',
      device.userAgent ?? '-',
    ])
    this.log(`\n${formatTable(['device', 'name', 'last seen', 'address', 'client'], rows)}`)
  }
}

function yesOrNo(value: boolean): string {
  return value ? 'yes' : 'no'
}

function listed(parts: readonly string[]): string {
  return parts.length === 0 ? '-' : parts.join(', ')
}
