import type { LdapClient, LdapEntry, LdapSession } from '../../net/clients/ldap-client.js'
import { parseUserId, serverNameOf, localpartOf, type ServerName } from '../../protocol/ids.js'
import { randomToken } from '../../util/random.js'
import type { Credential, CredentialProvider, ProvenIdentity } from './credential-providers.js'
import { DirectoryNames, type DirectoryName } from './directory-names.js'

export interface LdapPasswordsOptions {
  readonly serverName: ServerName
  /** The entry below which people are. */
  readonly base: string
  readonly attributes: { readonly uid: string; readonly name: string; readonly mail: string }
  /** How entries of people are found; undefined: their DN is made of their name. */
  readonly search:
    | {
        /** Who looks for them; undefined: nobody. */
        readonly account: { readonly dn: string; readonly password: string } | undefined
        readonly filter: string | undefined
      }
    | undefined
  /** Undefined: names have no domains. */
  readonly activeDirectory: { readonly defaultDomain: string | undefined } | undefined
}

type Search = NonNullable<LdapPasswordsOptions['search']>

/**
 * People whose passwords a directory knows. What it says of them makes their account when they come for the first time.
 * https://github.com/matrix-org/matrix-synapse-ldap3
 */
export class LdapPasswords implements CredentialProvider {
  readonly name = 'LDAP'
  readonly types = ['m.login.password']
  readonly isImmediate = false
  readonly #client: Pick<LdapClient, 'run'>
  readonly #options: LdapPasswordsOptions
  readonly #names: DirectoryNames | undefined

  constructor(client: Pick<LdapClient, 'run'>, options: LdapPasswordsOptions) {
    this.#client = client
    this.#options = options
    this.#names = options.activeDirectory && new DirectoryNames(options.activeDirectory)
  }

  async identify({ user, threepid, secret }: Credential): Promise<ProvenIdentity | undefined> {
    const { search } = this.#options
    const mail = threepid?.medium === 'email' ? threepid.address : undefined
    const name = user === undefined ? undefined : this.#localpartOf(user)
    const byMail = search !== undefined && mail !== undefined && { search, mail, secret }
    if (!byMail && name === undefined) return undefined
    return this.#client.run(async (session) => {
      const found = byMail ? await this.#byMail(session, byMail) : undefined
      return found ?? (name === undefined ? undefined : this.#byName(session, name, secret))
    })
  }

  /** Looks for somebody whom there is not. Rejects where nobody could be found, or not even asked for. */
  async examine(): Promise<void> {
    const { search, base, attributes } = this.#options
    const match = { attribute: attributes.uid, value: randomToken() }
    await this.#client.run(async (session) => {
      if (search === undefined) return
      await this.#prepare(session, search)
      await session.search({ base, scope: 'sub', match, filter: search.filter, attributes: [attributes.uid] })
    })
  }

  /** What a client calls somebody who may be in the directory. */
  #localpartOf(user: string): string | undefined {
    if (!user.startsWith('@')) return user === '' ? undefined : user
    const userId = parseUserId(user)
    if (userId === undefined || serverNameOf(userId) !== this.#options.serverName) return undefined
    return localpartOf(userId)
  }

  async #byName(session: LdapSession, name: string, secret: string): Promise<ProvenIdentity | undefined> {
    const { search } = this.#options
    if (search === undefined) return this.#byDn(session, name, secret)
    if (!(await this.#prepare(session, search))) return undefined
    const known = await this.#nameOf(name, session)
    if (known === undefined) return undefined
    const match = { attribute: this.#options.attributes.uid, value: known.uid }
    const entry = await this.#findAndBind(session, { search, match, secret })
    return entry && this.#identityOf(entry, known)
  }

  async #byDn(session: LdapSession, name: string, secret: string): Promise<ProvenIdentity | undefined> {
    const { attributes, base } = this.#options
    const known = await this.#nameOf(name)
    if (known === undefined) return undefined
    const dn = `${attributes.uid}=${escapeDnValue(known.uid)},${base}`
    if (!(await session.bind(dn, secret))) return undefined
    return { localpart: known.localpart, newcomer: { displayName: known.displayName, emails: [] } }
  }

  async #byMail(
    session: LdapSession,
    { search, mail, secret }: { search: Search; mail: string; secret: string },
  ): Promise<ProvenIdentity | undefined> {
    if (!(await this.#prepare(session, search))) return undefined
    const { attributes } = this.#options
    const match = { attribute: attributes.mail, value: mail }
    const entry = await this.#findAndBind(session, { search, match, secret })
    const uid = entry && onlyValue(entry, attributes.uid)
    if (entry === undefined || uid === undefined) return undefined
    const localpart = this.#names?.localpartOf(uid) ?? uid
    const displayName = onlyValue(entry, attributes.name) ?? localpart
    return { localpart, newcomer: { displayName, emails: [mail] } }
  }

  /** False where the directory does not let this server look for people. */
  async #prepare(session: LdapSession, { account }: Search): Promise<boolean> {
    if (await session.bind(account?.dn ?? '', account?.password ?? '')) return true
    throw new Error('the directory does not take bind_dn and bind_password')
  }

  /** The only entry that is meant, if this is its password. */
  async #findAndBind(
    session: LdapSession,
    {
      search,
      match,
      secret,
    }: { search: Search; match: { attribute: string; value: string }; secret: string },
  ): Promise<LdapEntry | undefined> {
    const { base, attributes } = this.#options
    const entries = await session.search({
      base,
      scope: 'sub',
      match,
      filter: search.filter,
      attributes: [attributes.uid, attributes.name, attributes.mail],
    })
    const [entry] = entries
    if (entry === undefined || entries.length > 1 || entry.dn === '') return undefined
    // Directories compare as they like, some without accents: somebody must not get in under a name that is only alike.
    const values = entry.attributes.get(match.attribute.toLowerCase()) ?? []
    if (!values.some((value) => value.toLowerCase() === match.value.toLowerCase())) return undefined
    return (await session.bind(entry.dn, secret)) ? entry : undefined
  }

  #identityOf(entry: LdapEntry, { localpart, displayName }: DirectoryName): ProvenIdentity {
    const { attributes } = this.#options
    const mail = onlyValue(entry, attributes.mail)
    return {
      localpart,
      newcomer: {
        displayName: onlyValue(entry, attributes.name) ?? displayName,
        emails: mail === undefined ? [] : [mail],
      },
    }
  }

  async #nameOf(name: string, session?: LdapSession): Promise<DirectoryName | undefined> {
    if (this.#names === undefined) return { uid: name, localpart: name, displayName: name }
    return this.#names.of(name, session)
  }
}

function onlyValue({ attributes }: LdapEntry, name: string): string | undefined {
  const values = attributes.get(name.toLowerCase()) ?? []
  return values.length === 1 && values[0] !== '' ? values[0] : undefined
}

/** https://www.rfc-editor.org/rfc/rfc4514#section-2.4 */
export function escapeDnValue(value: string): string {
  return value
    .replace(/[\\,+"<>;=]/g, '\\$&')
    .replace(/ $/, '\\ ')
    .replace(/^[ #]/, '\\$&')
    .replaceAll('\0', '\\00')
}
