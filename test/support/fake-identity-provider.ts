import type {
  BeginContext,
  ExternalIdentity,
  IdentityProvider,
} from '../../src/services/sign-on/identity-provider.js'
import type { SignOn } from '../../src/services/sign-on/sign-on.js'
import type { Browser } from './browser.js'

/** A service at which people sign on by what the test says of them. */
export class FakeIdentityProvider implements IdentityProvider {
  readonly id: string
  readonly name: string
  readonly icon = undefined
  readonly brand = undefined
  readonly registers: boolean = true
  readonly adoptsExistingUsers: boolean = false
  /** All that somebody was sent for, by state. */
  readonly begun = new Map<string, BeginContext>()

  constructor(
    id: string,
    options: { name?: string; adoptsExistingUsers?: boolean; registers?: boolean } = {},
  ) {
    this.id = id
    this.name = options.name ?? id
    this.adoptsExistingUsers = options.adoptsExistingUsers ?? false
    this.registers = options.registers ?? true
  }

  begin(state: string, context: BeginContext): Promise<{ url: string }> {
    this.begun.set(state, context)
    return Promise.resolve({ url: `https://idp.test/${this.id}?state=${state}` })
  }

  /** Adds it to those of a server that runs. */
  addTo(signOn: SignOn): this {
    ;(signOn.providers as IdentityProvider[]).push(this)
    return this
  }
}

/**
 * What comes of an answer of the service that a browser brings back: as the endpoint of a protocol would do it. The cookie
 * that it gives is kept.
 */
export async function bringBack(
  signOn: SignOn,
  { browser, host, state }: { browser: Browser; host: string; state: string },
  identity: ExternalIdentity,
) {
  const attempt = await signOn.take(state, browser.cookies.get(signOn.cookieName)?.value)
  const answer = await signOn.complete(attempt, identity)
  if (answer.cookie !== undefined) {
    browser.cookies.set(answer.cookie.name, { host, value: answer.cookie.value, attributes: [] })
  }
  return answer
}
