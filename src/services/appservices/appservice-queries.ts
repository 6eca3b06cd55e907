import type { AppserviceClient } from '../../net/clients/appservice-client.js'
import { isInNamespace, isInterestedInUser } from '../../protocol/appservice-registration.js'
import type { RoomAlias, UserId } from '../../protocol/ids.js'
import type { Logger } from '../../telemetry/logger.js'
import { SingleFlight } from '../../util/single-flight.js'
import type { AppserviceRegistry } from './appservice-registry.js'

export interface AppserviceQueriesDependencies {
  readonly registry: AppserviceRegistry
  readonly client: Pick<AppserviceClient, 'hasUser' | 'hasAlias'>
  readonly logger: Logger
}

/**
 * Asks application services for users and rooms that are not there yet but could be theirs. Who asks looks again for the
 * thing itself when the answer is yes. https://spec.matrix.org/latest/application-service-api/#querying
 */
export class AppserviceQueries {
  readonly #deps: AppserviceQueriesDependencies
  readonly #flights = new SingleFlight<boolean>()

  constructor(deps: AppserviceQueriesDependencies) {
    this.#deps = deps
  }

  /** Whether a service says that it has this user. Does not reject. */
  hasUser(userId: UserId): Promise<boolean> {
    const { registry, client } = this.#deps
    const candidates = registry
      .list()
      .filter((registration) => registration.url !== undefined && isInterestedInUser(registration, userId))
    if (candidates.length === 0) return Promise.resolve(false)
    return this.#flights.run(userId, () =>
      this.#ask(candidates.map((registration) => () => client.hasUser(registration, userId))),
    )
  }

  /** Whether a service says that it has a room with this alias. Does not reject. */
  hasAlias(alias: RoomAlias): Promise<boolean> {
    const { registry, client } = this.#deps
    const candidates = registry
      .list()
      .filter(
        (registration) => registration.url !== undefined && isInNamespace(registration, 'aliases', alias),
      )
    if (candidates.length === 0) return Promise.resolve(false)
    return this.#flights.run(alias, () =>
      this.#ask(candidates.map((registration) => () => client.hasAlias(registration, alias))),
    )
  }

  /** One after another, until one says yes. */
  async #ask(questions: readonly (() => Promise<boolean>)[]): Promise<boolean> {
    for (const question of questions) {
      try {
        if (await question()) return true
      } catch (err) {
        this.#deps.logger.info({ err }, 'An application service could not be asked')
      }
    }
    return false
  }
}
