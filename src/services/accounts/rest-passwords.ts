import type { CheckedProfile, CredentialCheckClient } from '../../net/clients/credential-check-client.js'
import { localpartOf, type ServerName, type UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { ProfilesStore } from '../../storage/stores/profiles.js'
import type { ThreepidsStore } from '../../storage/stores/threepids.js'
import type { UsersStore } from '../../storage/stores/users.js'
import type { Clock } from '../../util/clock.js'
import type { Credential, CredentialProvider, ProvenIdentity } from './credential-providers.js'
import { cleanDisplayName, cleanEmails } from './given-profiles.js'
import type { Profiles } from './profiles.js'
import { actingFor } from './requester.js'
import { userIdsForLogin } from './usernames.js'

export interface RestPasswordsOptions {
  readonly serverName: ServerName
  readonly namesNewcomers: boolean
  /** At each login, the display name becomes what the service says. */
  readonly namesAlways: boolean
  /** At each login, addresses that the service knows are added. */
  readonly addsAddresses: boolean
  /** And those that it does not know are removed. */
  readonly removesAddresses: boolean
}

export interface RestPasswordsDependencies {
  readonly client: Pick<CredentialCheckClient, 'check'>
  readonly db: Database
  readonly clock: Pick<Clock, 'now'>
  readonly users: Pick<UsersStore, 'get'>
  readonly threepids: Pick<ThreepidsStore, 'insertMany' | 'listForUser' | 'deleteMany'>
  readonly profileRows: Pick<ProfilesStore, 'get'>
  readonly profiles: Pick<Profiles, 'setField'>
  readonly options: RestPasswordsOptions
}

/** People whose passwords another service knows, by HTTP. */
export class RestPasswords implements CredentialProvider {
  readonly name = 'REST'
  readonly types = ['m.login.password']
  readonly isImmediate = false
  readonly #deps: RestPasswordsDependencies

  constructor(deps: RestPasswordsDependencies) {
    this.#deps = deps
  }

  async identify({ user, account, secret }: Credential): Promise<ProvenIdentity | undefined> {
    const { client, options } = this.#deps
    // Asked of the account that there is or will be: the service may tell names apart that are one here.
    const userId = account ?? userIdsForLogin(user ?? '', options.serverName).at(-1)
    if (userId === undefined) return undefined
    const localpart = localpartOf(userId)
    const profile = await client.check(userId, secret)
    if (profile === undefined) return undefined
    return {
      localpart,
      newcomer: {
        displayName: options.namesNewcomers ? profile.displayName : undefined,
        emails: options.addsAddresses ? addressesOf(profile, 'email') : [],
      },
      onLogin: (id, isNew) => this.#update(id, profile, isNew),
    }
  }

  async #update(userId: UserId, profile: CheckedProfile, isNew: boolean): Promise<void> {
    const { db, users, options } = this.#deps
    const user = await users.get(db.reader, userId)
    if (user === undefined || user.isDeactivated || user.isLocked) return
    if (options.addsAddresses) await this.#updateAddresses(userId, profile)
    if (options.namesAlways && !isNew) await this.#updateName(userId, cleanDisplayName(profile.displayName))
  }

  async #updateAddresses(userId: UserId, profile: CheckedProfile): Promise<void> {
    const { db, clock, threepids, options } = this.#deps
    const now = clock.now()
    await db.write('update_provided_addresses', async (tx) => {
      const owned = options.removesAddresses ? await threepids.listForUser(tx, userId) : []
      for (const medium of MEDIA) {
        const known = addressesOf(profile, medium)
        const gone = owned.filter((record) => record.medium === medium && !known.includes(record.address))
        await threepids.deleteMany(
          tx,
          userId,
          medium,
          gone.map(({ address }) => address),
        )
        const records = known.map((address) => ({ medium, address, validatedTs: now, addedTs: now }))
        if (records.length > 0) await threepids.insertMany(tx, userId, records)
      }
    })
  }

  async #updateName(userId: UserId, displayName: string | undefined): Promise<void> {
    const { db, profileRows, profiles } = this.#deps
    const profile = await profileRows.get(db.reader, userId)
    if (!displayName || displayName === profile?.displayName) return
    const requester = actingFor({ userId, isGuest: false })
    await profiles.setField(requester, userId, {
      field: 'displayname',
      body: { displayname: displayName },
      byAuthority: true,
    })
  }
}

const MEDIA = ['email', 'msisdn'] as const
const MAX_NUMBERS = 10

/** Of what a service says, in canonical form. */
function addressesOf({ threepids }: CheckedProfile, wanted: (typeof MEDIA)[number]): string[] {
  const given = threepids
    .filter(({ medium }) => medium.toLowerCase() === wanted)
    .map(({ address }) => address)
  if (wanted === 'email') return cleanEmails(given)
  return [...new Set(given)].filter((number) => /^[0-9]{1,32}$/.test(number)).slice(0, MAX_NUMBERS)
}
