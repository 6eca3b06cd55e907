import type { HomeserverConfig } from '../config/homeserver-config.js'
import type { CredentialProviderConfig } from '../config/sections/modules.js'
import { AntispamClient } from '../net/clients/antispam-client.js'
import { CredentialCheckClient } from '../net/clients/credential-check-client.js'
import { LdapClient } from '../net/clients/ldap-client.js'
import { Dialer } from '../net/dialer.js'
import { CachingDns, type Dns } from '../net/dns.js'
import type { HttpClient } from '../net/http-client.js'
import { IpPolicy } from '../net/ip-policy.js'
import { CredentialProviders, type CredentialProvider } from '../services/accounts/credential-providers.js'
import { LdapPasswords } from '../services/accounts/ldap-passwords.js'
import { RestPasswords } from '../services/accounts/rest-passwords.js'
import { SharedSecretLogins } from '../services/accounts/shared-secret-logins.js'
import { AntispamPings, ping } from '../services/accounts/antispam-pings.js'
import { SpamChecks } from '../services/accounts/spam-checks.js'
import { randomToken } from '../util/random.js'
import type { Clock } from '../util/clock.js'
import type { BackgroundWork } from './lifecycle.js'
import type { OutboundHttp } from './outbound-http.js'
import { noticesSenderOf } from './room-options.js'
import type { Base, ServiceParts } from './wire-base.js'

/** Those who know people besides this server, as `modules` names them; undefined where there are none. */
export function createCredentialProviders(base: Base): CredentialProviders | undefined {
  const { parts, later, stores, shared } = base
  const { config, logger } = parts
  const { credentialProviders } = config.modules
  if (credentialProviders.length === 0) return undefined
  const { serverName } = config.server
  return new CredentialProviders({
    ...stores,
    ...shared,
    registration: { registerSignedOn: (account) => later.get('registration').registerSignedOn(account) },
    checkNewcomer: () => later.get('checkNewcomer')(),
    logger,
    serverName,
    list: credentialProviders.map((provider) => createProvider(provider, base)),
  })
}

function createProvider(provider: CredentialProviderConfig, base: Base): CredentialProvider {
  const { parts, stores, shared, http, later } = base
  const { serverName } = parts.config.server
  switch (provider.kind) {
    case 'sharedSecret':
      return new SharedSecretLogins({ ...provider, serverName })
    case 'ldap':
      return new LdapPasswords(createLdapClient(provider, { ...parts, dns: parts.network.dns }), {
        ...provider,
        serverName,
      })
    case 'rest':
      return new RestPasswords({
        ...stores,
        ...shared,
        client: new CredentialCheckClient(http.toOwn, provider.endpoint),
        profileRows: stores.profiles,
        profiles: { setField: (...change) => later.get('profiles').setField(...change) },
        options: { ...provider, serverName },
      })
  }
}

/** Directories are where the operator says, which may be anywhere. */
function createLdapClient(
  options: ConstructorParameters<typeof LdapClient>[1],
  { clock, dns }: { readonly clock: Clock; readonly dns: Dns },
): LdapClient {
  const dialer = new Dialer({
    dns: new CachingDns(dns, clock),
    policy: new IpPolicy({ deniedRanges: [], allowedRanges: [] }),
    tls: { verify: true },
  })
  return new LdapClient({ dialer, clock }, options)
}

/** The services that say what is spam; undefined where there are none. */
export function createSpamChecks(
  { config, clock, logger }: Pick<ServiceParts, 'config' | 'clock' | 'logger'>,
  http: Pick<OutboundHttp, 'toOwn'>,
): SpamChecks | undefined {
  const services = config.modules.antispam.map((service) => ({
    client: new AntispamClient(http.toOwn, service),
    callbacks: service.callbacks,
  }))
  return services.length === 0
    ? undefined
    : new SpamChecks(services, { logger, clock, exempt: noticesSenderOf(config) })
}

/** Greets those that want to be greeted. */
export function createAntispamPings({ parts, http }: Base): BackgroundWork {
  const greeted = parts.config.modules.antispam.filter(({ pings }) => pings)
  return new AntispamPings(
    greeted.map((service) => new AntispamClient(http.toOwn, service)),
    parts,
  )
}

/** A service that stands in the place of a module, as somebody finds it who looks at it. */
export interface ExaminedModule {
  readonly what: string
  readonly place: string
  /** Undefined: it can be used. */
  readonly problem: string | undefined
}

/** Asks what `modules` names whether it can be used. */
export async function examineModules(parts: {
  readonly config: HomeserverConfig
  readonly clock: Clock
  readonly http: Pick<HttpClient, 'request'>
  readonly dns: Dns
}): Promise<ExaminedModule[]> {
  const { credentialProviders, antispam } = parts.config.modules
  const { serverName } = parts.config.server
  const examined: Promise<ExaminedModule>[] = []
  for (const provider of credentialProviders) {
    if (provider.kind === 'ldap') {
      const ldap = new LdapPasswords(createLdapClient(provider, parts), { ...provider, serverName })
      examined.push(examine('the directory', provider.urls.join(', '), () => ldap.examine()))
    } else if (provider.kind === 'rest') {
      const client = new CredentialCheckClient(parts.http, provider.endpoint)
      examined.push(
        examine('the service that knows passwords', provider.endpoint, () => tryNobody(client, serverName)),
      )
    }
  }
  for (const service of antispam) {
    const client = new AntispamClient(parts.http, service)
    examined.push(examine('the service that says what is spam', service.baseUrl, () => ping(client)))
  }
  return Promise.all(examined)
}

async function examine(what: string, place: string, attempt: () => Promise<void>): Promise<ExaminedModule> {
  try {
    await attempt()
    return { what, place, problem: undefined }
  } catch (error) {
    return { what, place, problem: (error as Error).message }
  }
}

async function tryNobody(client: CredentialCheckClient, serverName: string): Promise<void> {
  const known = await client.check(`@${randomToken().toLowerCase()}:${serverName}`, randomToken())
  if (known !== undefined) throw new Error('it takes a password that nobody has')
}
