import { fillSubject, type EmailSubject } from '../../config/sections/email.js'
import type { Mailer } from '../../net/mailer.js'
import type { Templates } from '../../net/templates.js'
import type { ServerName } from '../../protocol/ids.js'
import type { ThreepidValidation, ValidationPurpose } from '../../storage/stores/threepid-validations.js'

export interface ValidationMailOptions {
  readonly serverName: ServerName
  /** `public_baseurl`, with a slash at its end. */
  readonly publicBaseUrl: string
  readonly appName: string
  readonly subjects: Readonly<Record<EmailSubject, string>>
}

/** How a proof is asked for. */
const KINDS: Readonly<Record<ValidationPurpose, { template: string; subject: EmailSubject; path: string }>> =
  {
    add: {
      template: 'add_threepid',
      subject: 'email_validation',
      path: '_matrix/client/unstable/add_threepid/email/submit_token',
    },
    register: {
      template: 'registration',
      subject: 'email_validation',
      path: '_matrix/client/unstable/registration/email/submit_token',
    },
    reset: {
      template: 'password_reset',
      subject: 'password_reset',
      path: '_synapse/client/password_reset/email/submit_token',
    },
  }

/** Writes the mails with which people prove that an address is theirs; templates have Synapse's names. */
export class ValidationMail {
  readonly #mailer: Mailer
  readonly #templates: Pick<Templates, 'render'>
  readonly #options: ValidationMailOptions

  constructor(mailer: Mailer, templates: Pick<Templates, 'render'>, options: ValidationMailOptions) {
    this.#mailer = mailer
    this.#templates = templates
    this.#options = options
  }

  /** Rejects when the mail server does not take it. */
  async send({ purpose, address, token, sessionId, clientSecret }: ThreepidValidation): Promise<void> {
    const { template, subject, path } = KINDS[purpose]
    const query = new URLSearchParams({ token, client_secret: clientSecret, sid: sessionId })
    const link = `${this.#options.publicBaseUrl}${path}?${query.toString()}`
    await this.#send(address, { template, subject, link })
  }

  /** Tells whoever has an account with the address already that somebody tried to make another. */
  async sendInUse(address: string): Promise<void> {
    await this.#send(address, { template: 'already_in_use', subject: 'email_already_in_use', link: '' })
  }

  async #send(
    to: string,
    { template, subject, link }: { template: string; subject: EmailSubject; link: string },
  ): Promise<void> {
    const { appName, serverName, subjects } = this.#options
    const variables = { app_name: appName, server_name: serverName, link }
    await this.#mailer.send({
      to,
      subject: fillSubject(subjects[subject], { app: appName, server_name: serverName }),
      text: await this.#templates.render(`${template}.txt`, variables),
      html: await this.#templates.render(`${template}.html`, variables),
    })
  }
}
