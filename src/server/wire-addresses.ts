import type { HomeserverConfig } from '../config/homeserver-config.js'
import { EmailValidations } from '../services/accounts/email-validations.js'
import type { RateLimits } from '../services/accounts/ratelimits.js'
import { ValidationMail } from '../services/accounts/validation-mail.js'
import { ValidationPages } from '../services/accounts/validation-pages.js'
import type { Services } from '../services/services.js'
import type { Database } from '../storage/database.js'
import type { ThreepidValidationsStore } from '../storage/stores/threepid-validations.js'
import type { ThreepidsStore } from '../storage/stores/threepids.js'
import type { Logger } from '../telemetry/logger.js'
import type { Clock } from '../util/clock.js'
import type { OutboundMail } from './outbound-mail.js'

/** What proofs of addresses need of the rest of the server. */
export interface AddressParts {
  readonly config: HomeserverConfig
  readonly db: Database
  readonly clock: Clock
  readonly logger: Logger
  readonly rateLimits: Pick<RateLimits, 'limiter'>
  readonly mail: OutboundMail
}

/** Constructs what finds out whose an e-mail address is. */
export function createAddressServices(
  parts: AddressParts,
  stores: { readonly threepids: ThreepidsStore; readonly threepidValidations: ThreepidValidationsStore },
): Pick<Services, 'emailValidations' | 'validationPages'> {
  const { config, rateLimits, mail } = parts
  const { registration, email, server } = config
  const { mail: settings } = email
  const sender =
    mail.mailer && settings && new ValidationMail(mail.mailer, mail.templates, { ...server, ...settings })
  const validations = new EmailValidations({
    ...parts,
    ...stores,
    store: stores.threepidValidations,
    mail: sender,
    limiter: rateLimits.limiter('threepidValidation'),
    options: {
      tokenLifetimeMs: settings?.validationTokenLifetimeMs ?? 0,
      mayChange: registration.mayChangeThreepids,
      mayRegister: registration.enabled,
      allowed: registration.allowedThreepids,
      hidesAccounts: registration.hidesThreepidOwners,
      nextLinkDomains: registration.nextLinkDomains,
    },
  })
  return {
    emailValidations: validations,
    validationPages: new ValidationPages({ validations, templates: mail.templates }),
  }
}
