import { readFile } from 'node:fs/promises'
import type { Clock } from '../../util/clock.js'
import { Semaphore } from '../../util/semaphore.js'
import type { Dialer } from '../dialer.js'
import { LdapConnection, LdapFailure, type LdapTlsSettings } from './ldap-connection.js'
import { LdapSession } from './ldap-session.js'

export { LdapFailure } from './ldap-connection.js'
export type { LdapEntry, LdapSession } from './ldap-session.js'

export interface LdapClientOptions {
  /** Of directories that have the same; the first that can be reached is asked. */
  readonly urls: readonly string[]
  readonly startTls: boolean
  readonly tls: Omit<LdapTlsSettings, 'certificate' | 'key'> & {
    readonly authorityFile: string | undefined
    readonly certificateFile: string | undefined
    readonly keyFile: string | undefined
  }
}

interface LdapClientParts {
  readonly dialer: Pick<Dialer, 'dial'>
  readonly clock: Pick<Clock, 'setTimeout'>
}

/** From the beginning to the last answer, with the time for which somebody waits for their turn. */
const TIMEOUT_MS = 10_000
/** A directory that cannot be reached must leave time for the next. */
const CONNECT_TIMEOUT_MS = 4_000
const MAX_SESSIONS = 10
/** Whoever comes after so many is refused, rather than kept waiting until it is too late anyway. */
const MAX_WAITING = 100

/** Asks a directory by LDAP (RFC 4511). */
export class LdapClient {
  readonly #parts: LdapClientParts
  readonly #options: LdapClientOptions
  readonly #places = new Semaphore(MAX_SESSIONS)

  constructor(parts: LdapClientParts, options: LdapClientOptions) {
    this.#parts = parts
    this.#options = options
  }

  /**
   * Runs `task` over a connection of its own: nobody goes on where somebody else has proven who they are. Rejects with an
   * `LdapFailure` where no directory answers in time, or answers what cannot be read.
   */
  async run<T>(task: (session: LdapSession) => Promise<T>): Promise<T> {
    if (this.#places.queueLength >= MAX_WAITING) throw new LdapFailure('too many wait for it')
    const deadline = new AbortController()
    const timer = this.#parts.clock.setTimeout(() => deadline.abort(), TIMEOUT_MS)
    try {
      return await this.#places.run(async () => {
        if (deadline.signal.aborted) throw new LdapFailure('too many wait for it')
        return this.#runOver(await this.#connect(deadline.signal), task)
      })
    } finally {
      timer.cancel()
    }
  }

  async #runOver<T>(
    { connection, session }: { connection: LdapConnection; session: LdapSession },
    task: (session: LdapSession) => Promise<T>,
  ): Promise<T> {
    try {
      return await task(session)
    } finally {
      connection.close()
    }
  }

  async #connect(signal: AbortSignal): Promise<{ connection: LdapConnection; session: LdapSession }> {
    const tls = await this.#readTls()
    const failures: string[] = []
    for (const url of this.#options.urls) {
      if (signal.aborted) break
      const own = new AbortController()
      const timer = this.#parts.clock.setTimeout(() => own.abort(), CONNECT_TIMEOUT_MS)
      try {
        return await this.#open(new URL(url), tls, AbortSignal.any([signal, own.signal]))
      } catch (error) {
        failures.push(`${url}: ${(error as Error).message}`)
      } finally {
        timer.cancel()
      }
    }
    throw new LdapFailure(failures.join('; '))
  }

  async #open({ protocol, hostname, port }: URL, tls: LdapTlsSettings, signal: AbortSignal) {
    const isTls = protocol === 'ldaps:'
    const host = hostname.replace(/^\[|\]$/g, '')
    const target = { host, port: port === '' ? (isTls ? 636 : 389) : Number(port) }
    const connection = await LdapConnection.open(this.#parts.dialer, target, signal)
    try {
      const session = await LdapSession.over(connection)
      if (!isTls && this.#options.startTls) await session.askForTls()
      if (isTls || this.#options.startTls) await connection.secure(host, tls)
      return { connection, session }
    } catch (error) {
      connection.close()
      throw error
    }
  }

  /** Each time, since certificates are renewed. */
  async #readTls(): Promise<LdapTlsSettings> {
    const { authorityFile, certificateFile, keyFile, ...tls } = this.#options.tls
    const read = async (file: string | undefined): Promise<string | undefined> =>
      file === undefined ? undefined : readFile(file, 'utf8')
    try {
      const [authorities, certificate, key] = await Promise.all(
        [authorityFile, certificateFile, keyFile].map(read),
      )
      return { ...tls, authorities: authorities ?? tls.authorities, certificate, key }
    } catch (error) {
      throw new LdapFailure((error as Error).message, { cause: error })
    }
  }
}
