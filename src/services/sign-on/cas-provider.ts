import { HttpFailure, type HttpClient } from '../../net/http-client.js'
import type { Logger } from '../../telemetry/logger.js'
import { randomToken } from '../../util/random.js'
import { parseCasAnswer, type CasAnswer, type CasUser } from './cas-answer.js'
import type { BeginContext, ExternalIdentity, IdentityProvider, SignOnPurpose } from './identity-provider.js'
import { localpartFor } from './localparts.js'
import { SignOnFailure } from './sign-on-failure.js'

/** `cas_config`. */
export interface CasOptions {
  readonly name: string
  readonly icon: string | undefined
  readonly brand: string | undefined
  /** Without a slash at its end. */
  readonly serverUrl: string
  readonly protocolVersion: 1 | 2 | 3
  readonly displayNameAttribute: string | undefined
  /** What people must have who may log in; undefined: any value. */
  readonly requiredAttributes: Readonly<Record<string, string | undefined>>
  readonly registers: boolean
  /** What stands before names of digits alone, which nobody can have here; undefined: they are refused. */
  readonly numericPrefix: string | undefined
}

export interface CasDependencies {
  /** To addresses that the operator names. */
  readonly http: Pick<HttpClient, 'request'>
  readonly logger: Pick<Logger, 'warn'>
  readonly publicBaseUrl: string
  readonly options: CasOptions
}

/** For what somebody was sent to the server: a ticket is good for nothing else. */
export interface TicketPurpose {
  readonly purpose: SignOnPurpose
  /** Undefined for programs. */
  readonly state: string | undefined
}

/** As Synapse calls it: CAS servers know it. */
const TICKET_PATH = '_matrix/client/r0/login/cas/ticket'
const TIMEOUT_MS = 20_000
const MAX_BYTES = 256 * 1024

/**
 * A server of the Central Authentication Service. It sends people back with a ticket, of which it says whose it is to
 * whoever names the same service URL again; so that URL holds what they sign on for.
 * https://apereo.github.io/cas/development/protocol/CAS-Protocol-Specification.html
 */
export class CasProvider implements IdentityProvider {
  /** As Synapse writes it beside external IDs. */
  readonly id = 'cas'
  /** Names of people are theirs from before external IDs were written down, as in Synapse. */
  readonly adoptsExistingUsers = true
  /** Most CAS servers say the name as it was typed. */
  readonly ignoresCase = true
  readonly #deps: CasDependencies

  constructor(deps: CasDependencies) {
    this.#deps = deps
  }

  get name(): string {
    return this.#deps.options.name
  }

  get icon(): string | undefined {
    return this.#deps.options.icon
  }

  get brand(): string | undefined {
    return this.#deps.options.brand
  }

  get registers(): boolean {
    return this.#deps.options.registers
  }

  begin(state: string, { purpose, isProgram }: BeginContext): Promise<{ url: string }> {
    // Programs know the service URL as Synapse makes it, and make up one themselves.
    const of = { purpose, state: isProgram === true ? undefined : state }
    const service = new URLSearchParams({ service: this.#serviceUrl(of) })
    return Promise.resolve({ url: `${this.#deps.options.serverUrl}/login?${service.toString()}` })
  }

  /** Whose a ticket is. Throws `SignOnFailure` where it is not good for this, or they may not log in. */
  async validate(ticket: string, of: TicketPurpose): Promise<ExternalIdentity> {
    const { options } = this.#deps
    const { name, attributes } = await this.#userOf(ticket, of)
    for (const [attribute, wanted] of Object.entries(options.requiredAttributes)) {
      const values = attributes.get(attribute)
      if (values !== undefined && (wanted === undefined || values.includes(wanted))) continue
      throw new SignOnFailure('unauthorised', 'You are not authorised to log in here.', 403)
    }
    // Synapse writes them down with the prefix.
    const prefix = /^[0-9]+$/.test(name) ? (options.numericPrefix ?? '') : ''
    const externalId = `${prefix}${name}`
    const { displayNameAttribute } = options
    const displayName = displayNameAttribute && attributes.get(displayNameAttribute)?.[0]
    return { externalId, localpart: localpartFor(externalId), ...(displayName && { displayName }) }
  }

  /**
   * What is wrong with the server, in words for the operator; undefined where nothing is. It is asked about a ticket that
   * nobody has.
   */
  async examine(): Promise<string | undefined> {
    const redirectUrl = this.#deps.publicBaseUrl
    const of = { purpose: { kind: 'login', redirectUrl }, state: undefined } as const
    let answer: CasAnswer
    try {
      answer = await this.#ask(`ST-0-${randomToken()}`, of)
    } catch (error) {
      if (!(error instanceof HttpFailure)) throw error
      return `it cannot be asked: ${error.message}`
    }
    if ('user' in answer) return 'it takes tickets that nobody has'
    if ('malformed' in answer) return `it gives no answer of its protocol: ${answer.malformed}`
    return answer.refused.includes('SERVICE')
      ? `it does not know the service URL ${this.#deps.publicBaseUrl}${TICKET_PATH}`
      : undefined
  }

  async #userOf(ticket: string, of: TicketPurpose): Promise<CasUser> {
    const { logger } = this.#deps
    let answer: CasAnswer
    try {
      answer = await this.#ask(ticket, of)
    } catch (err) {
      if (!(err instanceof HttpFailure)) throw err
      logger.warn({ err }, 'The CAS server cannot be asked')
      throw new SignOnFailure('provider_unavailable', 'The CAS server cannot be reached', 503)
    }
    if ('user' in answer) return answer.user
    if ('refused' in answer) {
      logger.warn({ code: answer.refused.slice(0, 100) }, 'The CAS server refuses a ticket')
      throw new SignOnFailure('unsuccessful_response', 'The CAS server does not know this sign-on', 401)
    }
    logger.warn({ reason: answer.malformed }, 'The CAS server gives no answer of its protocol')
    throw new SignOnFailure('server_error', 'The CAS server gives no answer of its protocol', 401)
  }

  /** Rejects with a `HttpFailure` where there is no answer. */
  async #ask(ticket: string, of: TicketPurpose): Promise<CasAnswer> {
    const { http, options } = this.#deps
    const path = options.protocolVersion === 3 ? '/p3/proxyValidate' : '/proxyValidate'
    const query = new URLSearchParams({ ticket, service: this.#serviceUrl(of) })
    const url = `${options.serverUrl}${path}?${query.toString()}`
    const reply = await http.request({ method: 'GET', url, timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES })
    if (reply.status !== 200) return { malformed: `it has status ${reply.status}` }
    return parseCasAnswer(reply.body.toString('utf8'))
  }

  #serviceUrl({ purpose, state }: TicketPurpose): string {
    const query = new URLSearchParams(
      purpose.kind === 'login' ? { redirectUrl: purpose.redirectUrl } : { session: purpose.sessionId },
    )
    if (state !== undefined) query.set('state', state)
    return `${this.#deps.publicBaseUrl}${TICKET_PATH}?${query.toString()}`
  }
}
