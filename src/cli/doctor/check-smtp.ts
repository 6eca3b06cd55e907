import { readSmtpGreeting } from '../../net/clients/smtp-greeting.js'
import { SmtpMailer } from '../../net/mailer.js'
import type { DoctorCheck, DoctorContext } from './doctor-check.js'
import { failure, info, ok, warning, type Finding } from './finding.js'

type Smtp = NonNullable<DoctorContext['config']['email']['mail']>['smtp']

/** Whether mail would go out. */
export const checkSmtp: DoctorCheck = {
  name: 'smtp',
  summary: 'the mail server: connection, TLS and login',
  usesNetwork: true,
  async run({ config, clock }) {
    const { mail } = config.email
    if (mail === undefined) {
      return [
        info('the server sends no mail', {
          consequence: 'nobody can set a new password by mail, or get notifications by it',
          cure: 'email: {smtp_host: ..., notif_from: ...}',
        }),
      ]
    }
    const { smtp } = mail
    const place = `${smtp.host}:${smtp.port}`
    const findings: Finding[] = []
    if (!smtp.forceTls) {
      try {
        findings.push(...ofExtensions(smtp, (await readSmtpGreeting(smtp, clock)).extensions))
      } catch (error) {
        return [unreachable(place, error as Error)]
      }
    }
    try {
      await new SmtpMailer({ ...smtp, from: '' }).verify()
      const login = smtp.user === undefined ? '' : ` and lets ${smtp.user} log in`
      return [ok(`${place} takes mail${login}`), ...findings]
    } catch (error) {
      return [refused(place, smtp, error as Error & { code?: string }), ...findings]
    }
  },
}

function ofExtensions(smtp: Smtp, extensions: readonly string[]): Finding[] {
  const isLocal = /^(?:localhost|127\.|::1$)/.test(smtp.host)
  const hasTls = smtp.enableTls && extensions.includes('STARTTLS')
  if (hasTls || isLocal || smtp.requireTls) return []
  return [
    warning(`mail goes to ${smtp.host} without TLS${smtp.enableTls ? ': it offers no STARTTLS' : ''}`, {
      consequence: 'mails and the password can be read on the way',
      cure: 'email: {force_tls: true, smtp_port: 465}, or enable_tls: true and another mail server',
    }),
  ]
}

function unreachable(place: string, { message }: Error): Finding {
  return failure(`${place}: ${message}`, {
    consequence: 'no mail goes out',
    cure: 'smtp_host and smtp_port must be those of a mail server that this machine reaches',
  })
}

function refused(place: string, smtp: Smtp, error: Error & { code?: string }): Finding {
  const summary = `${place}: ${error.message.split('\n')[0] ?? ''}`
  const consequence = 'no mail goes out'
  if (error.code === 'EAUTH') {
    return failure(summary, {
      consequence,
      cure: 'set smtp_user and smtp_pass to what the mail server knows',
    })
  }
  if (error.code === 'ETLS' || error.code === 'ESOCKET') {
    const cure = smtp.forceTls
      ? 'force_tls is for port 465; for STARTTLS (ports 25 and 587) set force_tls: false'
      : 'let the mail server offer STARTTLS with a certificate for its name (tlsname, if it has another)'
    return failure(summary, { consequence, cure })
  }
  return failure(summary, {
    consequence,
    cure: 'look at smtp_host, smtp_port and the log of the mail server',
  })
}
