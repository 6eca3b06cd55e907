import type { Transporter } from 'nodemailer'

/** A mail as it is sent. */
export interface Mail {
  /** One address. */
  readonly to: string
  readonly subject: string
  readonly text: string
  readonly html: string
  /** Where one request ends mails of this kind (RFC 8058), offered by mail programs as a button. */
  readonly unsubscribeUrl?: string
}

/** Sends mail. */
export interface Mailer {
  /** Resolves when the mail server has taken it; rejects when it has not. */
  send(mail: Mail): Promise<void>
}

/** `email` of the configuration, as far as the connection goes. */
export interface SmtpOptions {
  readonly host: string
  readonly port: number
  readonly user: string | undefined
  readonly password: string | undefined
  /** TLS from the first byte. */
  readonly forceTls: boolean
  /** Without TLS nothing is sent. */
  readonly requireTls: boolean
  /** STARTTLS is used where it is offered. */
  readonly enableTls: boolean
  /** The name on the server's certificate; the host's by default. */
  readonly tlsName: string | undefined
  /** The sender, as `From` says it. */
  readonly from: string
}

const TIMEOUT_MS = 30_000

/** Sends mail through one SMTP server. */
export class SmtpMailer implements Mailer {
  readonly #options: SmtpOptions
  #transport: Promise<Transporter> | undefined

  constructor(options: SmtpOptions) {
    this.#options = options
  }

  async send(mail: Mail): Promise<void> {
    const transport = await (this.#transport ??= this.#connect())
    const { to, subject, text, html, unsubscribeUrl } = mail
    await transport.sendMail({
      from: this.#options.from,
      to: { name: '', address: to },
      subject,
      text,
      html,
      // Nobody is to answer, and no holiday note is to be sent.
      headers: { 'Auto-Submitted': 'auto-generated', ...unsubscribeHeaders(unsubscribeUrl) },
    })
  }

  /** Connects, and logs in where there is somebody to log in as; sends nothing. Rejects where a mail would not go out. */
  async verify(): Promise<void> {
    const transport = await (this.#transport ??= this.#connect())
    await transport.verify()
  }

  async #connect(): Promise<Transporter> {
    const { createTransport } = await import('nodemailer')
    const { host, port, user, password, forceTls, requireTls, enableTls, tlsName } = this.#options
    return createTransport({
      host,
      port,
      secure: forceTls,
      requireTLS: requireTls,
      ignoreTLS: !enableTls,
      ...(user === undefined ? {} : { auth: { user, pass: password ?? '' } }),
      tls: { servername: tlsName ?? host },
      connectionTimeout: TIMEOUT_MS,
      greetingTimeout: TIMEOUT_MS,
      socketTimeout: TIMEOUT_MS,
      disableFileAccess: true,
      disableUrlAccess: true,
    })
  }
}

function unsubscribeHeaders(url: string | undefined): Record<string, string> {
  if (url === undefined) return {}
  return { 'List-Unsubscribe': `<${url}>`, 'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click' }
}
