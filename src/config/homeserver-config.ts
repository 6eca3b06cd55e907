import { z } from 'zod'
import type { Section, SectionContext } from './section.js'
import { appservices } from './sections/appservices.js'
import { authenticationService } from './sections/authentication-service.js'
import { caches } from './sections/caches.js'
import { captcha } from './sections/captcha.js'
import { consent } from './sections/consent.js'
import { database } from './sections/database.js'
import { email } from './sections/email.js'
import { experimental } from './sections/experimental.js'
import { federation } from './sections/federation.js'
import { invitations } from './sections/invitations.js'
import { jwt } from './sections/jwt.js'
import { listeners } from './sections/listeners.js'
import { logging } from './sections/logging.js'
import { media } from './sections/media.js'
import { metrics } from './sections/metrics.js'
import { modules } from './sections/modules.js'
import { network } from './sections/network.js'
import { oidc } from './sections/oidc.js'
import { presence } from './sections/presence.js'
import { push } from './sections/push.js'
import { rateLimits } from './sections/rate-limits.js'
import { registration } from './sections/registration.js'
import { retention } from './sections/retention.js'
import { rooms } from './sections/rooms.js'
import { search } from './sections/search.js'
import { serverNotices } from './sections/server-notices.js'
import { server } from './sections/server.js'
import { sessions } from './sections/sessions.js'
import { signOn } from './sections/sign-on.js'
import { signingKeys } from './sections/signing-keys.js'
import { turn } from './sections/turn.js'
import { usage } from './sections/usage.js'

const SECTIONS = {
  appservices,
  authenticationService,
  caches,
  captcha,
  consent,
  database,
  email,
  experimental,
  federation,
  invitations,
  jwt,
  listeners,
  logging,
  media,
  metrics,
  modules,
  network,
  oidc,
  presence,
  push,
  rateLimits,
  registration,
  retention,
  rooms,
  search,
  server,
  serverNotices,
  sessions,
  signOn,
  signingKeys,
  turn,
  usage,
}

type Sections = typeof SECTIONS

/**
 * The configuration of one server, section by section: frozen, complete (what the file leaves out has its default) and
 * in the server's own terms: times in milliseconds (`...Ms`), sizes in bytes.
 */
export type HomeserverConfig = {
  readonly [Name in keyof Sections]: Readonly<ReturnType<Sections[Name]['build']>>
}

/** The files of several sections as one map; keys that no section knows are left out. */
export const homeserverConfigSchema = z.object({
  ...appservices.keys,
  ...authenticationService.keys,
  ...caches.keys,
  ...captcha.keys,
  ...consent.keys,
  ...database.keys,
  ...email.keys,
  ...experimental.keys,
  ...federation.keys,
  ...invitations.keys,
  ...jwt.keys,
  ...listeners.keys,
  ...logging.keys,
  ...media.keys,
  ...metrics.keys,
  ...modules.keys,
  ...network.keys,
  ...oidc.keys,
  ...presence.keys,
  ...push.keys,
  ...rateLimits.keys,
  ...registration.keys,
  ...retention.keys,
  ...rooms.keys,
  ...search.keys,
  ...server.keys,
  ...serverNotices.keys,
  ...sessions.keys,
  ...signOn.keys,
  ...signingKeys.keys,
  ...turn.keys,
  ...usage.keys,
})

/** Builds all sections from what the schema has let pass. */
export function buildHomeserverConfig(
  raw: z.output<typeof homeserverConfigSchema>,
  context: SectionContext,
): HomeserverConfig {
  const built = Object.entries(SECTIONS).map(([name, section]) => {
    const anySection = section as unknown as Section<z.ZodRawShape, unknown>
    return [name, anySection.build(raw, context)] as const
  })
  return deepFreeze(Object.fromEntries(built)) as HomeserverConfig
}

function deepFreeze(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  Object.freeze(value)
  for (const part of Object.values(value)) deepFreeze(part)
  return value
}
