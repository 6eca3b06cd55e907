import { fillSubject } from '../config/sections/email.js'
import type { HomeserverConfig } from '../config/homeserver-config.js'
import { SmtpMailer, type Mailer } from '../net/mailer.js'
import { Templates } from '../net/templates.js'
import type { PolicyConsents } from '../services/accounts/policy-consents.js'
import { PolicyPages } from '../services/accounts/policy-pages.js'

/** What the server writes to people, as pages and as mails. */
export interface OutboundMail {
  readonly templates: Templates
  /** Undefined where the configuration says nothing of mail. */
  readonly mailer: Mailer | undefined
}

/** The pages of `user_consent`, whose templates stand in a directory of their own. */
/** `consents`: undefined where people agree only when they register. */
export function createPolicyPages(
  { consent, server }: HomeserverConfig,
  consents: PolicyConsents | undefined,
): PolicyPages {
  const { policy } = consent
  const templates = new Templates({
    customDirectories: policy === undefined ? [] : [policy.templateDirectory],
    publicBaseUrl: server.publicBaseUrl,
  })
  return new PolicyPages(templates, consents, { policy })
}

export function createOutboundMail({ email, server }: HomeserverConfig): OutboundMail {
  const { mail, customTemplateDirectory } = email
  const custom = [customTemplateDirectory, mail?.templateDirectory]
  const templates = new Templates({
    customDirectories: custom.filter((directory) => directory !== undefined),
    publicBaseUrl: server.publicBaseUrl,
  })
  if (mail === undefined) return { templates, mailer: undefined }
  const from = fillSubject(mail.from ?? `noreply@${server.serverName}`, { app: mail.appName })
  return { templates, mailer: new SmtpMailer({ ...mail.smtp, from }) }
}
