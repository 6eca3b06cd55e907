import type { LdapSession } from '../../net/clients/ldap-client.js'

/** What somebody is called. */
export interface DirectoryName {
  /** In the directory. */
  readonly uid: string
  readonly localpart: string
  /** Where the directory says nothing better. */
  readonly displayName: string
}

/**
 * The names of an Active Directory: `login@domain` there, `login/domain` here, and only `login` in the domain that is the
 * usual one. People may also write `domain\login`.
 */
export class DirectoryNames {
  readonly #defaultDomain: string | undefined
  #rootDomain: string | undefined

  /** `defaultDomain`: in lower case. */
  constructor({ defaultDomain }: { readonly defaultDomain: string | undefined }) {
    this.#defaultDomain = defaultDomain
  }

  /** Undefined where no domain is known. Over the session, a short domain becomes a whole one. */
  async of(name: string, session?: LdapSession): Promise<DirectoryName | undefined> {
    const typed = name.toLowerCase()
    const backslash = typed.lastIndexOf('\\')
    const slash = typed.lastIndexOf('/')
    if (backslash !== -1) {
      const domain = await this.#wholeDomain(typed.slice(0, backslash), session)
      return this.#join(typed.slice(backslash + 1), domain)
    }
    if (slash !== -1) return this.#join(typed.slice(0, slash), typed.slice(slash + 1))
    return this.#defaultDomain === undefined ? undefined : this.#join(typed, this.#defaultDomain)
  }

  /** What somebody is called here who has this name there. */
  localpartOf(uid: string): string {
    const name = uid.toLowerCase()
    const at = name.lastIndexOf('@')
    return at === -1 ? uid : this.#localpart(name.slice(0, at), name.slice(at + 1))
  }

  #join(login: string, domain: string): DirectoryName | undefined {
    // Else the name would be that of another login in another domain.
    if (login === '' || domain === '' || /[@/\\]/.test(login + domain)) return undefined
    return { uid: `${login}@${domain}`, localpart: this.#localpart(login, domain), displayName: login }
  }

  #localpart(login: string, domain: string): string {
    return domain === this.#defaultDomain ? login : `${login}/${domain}`
  }

  async #wholeDomain(domain: string, session: LdapSession | undefined): Promise<string> {
    const root = this.#rootDomain ?? (session && (await this.#findRoot(session)))
    return root === undefined || domain.endsWith(root) ? domain : `${domain}.${root}`
  }

  /** The domain of the whole forest, as the directory says: `DC=example,DC=org`. */
  async #findRoot(session: LdapSession): Promise<string | undefined> {
    const [entry] = await session.search({ base: '', scope: 'base', attributes: [ROOT] })
    const [dn] = entry?.attributes.get(ROOT.toLowerCase()) ?? []
    const labels = [...(dn ?? '').matchAll(/(?:^|,)\s*DC=([^,]+)/gi)].map(([, label]) => label)
    if (labels.length > 0) this.#rootDomain = labels.join('.').toLowerCase()
    return this.#rootDomain
  }
}

const ROOT = 'rootDomainNamingContext'
