import { SMTPServer } from 'smtp-server'
import type { AddressInfo } from 'node:net'

/** A mail as it came. */
export interface ReceivedMail {
  readonly from: string
  readonly to: readonly string[]
  /** With its headers; lines that were folded are whole, and quoted-printable is decoded. */
  readonly text: string
}

const TIMEOUT_MS = 8_000

/** A mail server on a free port of this machine that keeps what it is given. */
export class FakeSmtp implements AsyncDisposable {
  readonly mails: ReceivedMail[] = []
  readonly #server: SMTPServer
  #waiting: (() => void)[] = []

  private constructor(users: Readonly<Record<string, string>>) {
    this.#server = new SMTPServer({
      authOptional: true,
      allowInsecureAuth: true,
      onAuth: ({ username = '', password }, _session, done) => {
        if (users[username] === password) done(null, { user: username })
        else done(new Error('Invalid login'))
      },
      disabledCommands: ['STARTTLS'],
      onData: (stream, session, done) => {
        const chunks: Buffer[] = []
        stream.on('data', (chunk: Buffer) => chunks.push(chunk))
        stream.on('end', () => {
          const { mailFrom, rcptTo } = session.envelope
          this.mails.push({
            from: mailFrom === false ? '' : mailFrom.address,
            to: rcptTo.map(({ address }) => address),
            text: decode(Buffer.concat(chunks).toString('utf8')),
          })
          done()
          for (const wake of this.#waiting.splice(0)) wake()
        })
      },
    })
  }

  /** `users`: who may log in, with their passwords. */
  static async start({ users = {} }: { users?: Readonly<Record<string, string>> } = {}): Promise<FakeSmtp> {
    const smtp = new FakeSmtp(users)
    await new Promise<void>((resolve) => smtp.#server.listen(0, '127.0.0.1', () => resolve()))
    return smtp
  }

  /** Keys of the `email` section that lead here. */
  get config(): { smtp_host: string; smtp_port: number; notif_from: string } {
    const { port } = this.#server.server.address() as AddressInfo
    return { smtp_host: '127.0.0.1', smtp_port: port, notif_from: '%(app)s <noreply@hs.test>' }
  }

  /** Resolves when so many mails have come since the start. */
  async waitFor(count: number): Promise<ReceivedMail[]> {
    const deadline = Date.now() + TIMEOUT_MS
    while (this.mails.length < count) {
      const left = deadline - Date.now()
      if (left <= 0) throw new Error(`${this.mails.length} of ${count} mails have come`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left)
        this.#waiting.push(() => {
          clearTimeout(timer)
          resolve()
        })
      })
    }
    return this.mails
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }
}

function decode(text: string): string {
  return text
    .replaceAll(/=\r?\n/g, '')
    .replaceAll(/=([0-9A-F]{2})/g, (_match, hex: string) => String.fromCharCode(parseInt(hex, 16)))
    .replaceAll(/\r?\n[ \t]+/g, ' ')
}
