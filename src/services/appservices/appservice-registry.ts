import {
  isInNamespace,
  registrationJson,
  type AppserviceRegistration,
  type NamespaceKind,
} from '../../protocol/appservice-registration.js'
import type { UserId } from '../../protocol/ids.js'

/** Told when application services have come or gone. */
export type RegistryListener = (registrations: readonly AppserviceRegistration[]) => void

/** The application services of this server, in memory. */
export class AppserviceRegistry {
  #registrations: readonly AppserviceRegistration[]
  #byToken: ReadonlyMap<string, AppserviceRegistration>
  readonly #listeners = new Set<RegistryListener>()

  constructor(registrations: readonly AppserviceRegistration[] = []) {
    this.#registrations = registrations
    this.#byToken = tokensOf(registrations)
  }

  list(): readonly AppserviceRegistration[] {
    return this.#registrations
  }

  get(id: string): AppserviceRegistration | undefined {
    return this.#registrations.find((registration) => registration.id === id)
  }

  /** Whose access token it is. */
  findByToken(asToken: string): AppserviceRegistration | undefined {
    return this.#byToken.get(asToken)
  }

  /** Takes on other registrations; the services that remain are not disturbed. */
  replace(registrations: readonly AppserviceRegistration[]): void {
    const known = new Map(this.#registrations.map((old) => [textOf(old), old]))
    // Whoever holds on to a registration sees by that whether it is still the same.
    this.#registrations = registrations.map((registration) => known.get(textOf(registration)) ?? registration)
    this.#byToken = tokensOf(this.#registrations)
    for (const listener of this.#listeners) listener(this.#registrations)
  }

  onChange(listener: RegistryListener): void {
    this.#listeners.add(listener)
  }

  /** The service that has an ID for itself alone; its own user is its own, too. */
  exclusiveOwner(kind: NamespaceKind, id: string): AppserviceRegistration | undefined {
    return this.#registrations.find(
      (registration) =>
        (kind === 'users' && registration.senderId === id) ||
        isInNamespace(registration, kind, id, { exclusive: true }),
    )
  }

  /** Whether an ID is another's than that of `appserviceId` (undefined: of people). */
  isTaken(kind: NamespaceKind, id: string, appserviceId: string | undefined): boolean {
    const owner = this.exclusiveOwner(kind, id)
    return owner !== undefined && owner.id !== appserviceId
  }

  /** Whether a service may make and delete an alias. */
  ownsAlias(appserviceId: string, alias: string): boolean {
    const registration = this.get(appserviceId)
    return registration !== undefined && isInNamespace(registration, 'aliases', alias)
  }

  /** Whether rate limits are for a service's user: never for its own. Unknown services have no exemption. */
  isLimited(appserviceId: string, userId: UserId): boolean {
    const registration = this.get(appserviceId)
    if (registration === undefined) return true
    return registration.isRateLimited && registration.senderId !== userId
  }
}

function textOf(registration: AppserviceRegistration): string {
  return JSON.stringify(registrationJson(registration))
}

function tokensOf(
  registrations: readonly AppserviceRegistration[],
): ReadonlyMap<string, AppserviceRegistration> {
  return new Map(registrations.map((registration) => [registration.asToken, registration]))
}
