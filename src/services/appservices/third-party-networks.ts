import type { AppserviceClient } from '../../net/clients/appservice-client.js'
import type { AppserviceRegistration } from '../../protocol/appservice-registration.js'
import { notFound } from '../../protocol/errors.js'
import type { Clock } from '../../util/clock.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../../util/json.js'
import type { AppserviceRegistry } from './appservice-registry.js'

export type ThirdPartyKind = 'location' | 'user'

export interface ThirdPartyNetworksDependencies {
  readonly registry: AppserviceRegistry
  readonly client: Pick<AppserviceClient, 'askThirdParty'>
  readonly clock: Pick<Clock, 'now'>
}

interface Remembered {
  readonly metadata: JsonObject | undefined
  readonly untilTs: number
}

/** What services say of their protocols is asked for again after this. */
const REMEMBER_MS = 60 * 60_000
const REMEMBER_FAILURE_MS = 60_000
const REQUIRED: Readonly<Record<ThirdPartyKind, readonly string[]>> = {
  location: ['alias', 'protocol', 'fields'],
  user: ['userid', 'protocol', 'fields'],
}

/** Networks that application services bridge. https://spec.matrix.org/latest/client-server-api/#third-party-networks */
export class ThirdPartyNetworks {
  readonly #deps: ThirdPartyNetworksDependencies
  /** By service and protocol; bounded by the registrations. */
  readonly #remembered = new Map<string, Remembered>()

  constructor(deps: ThirdPartyNetworksDependencies) {
    this.#deps = deps
    deps.registry.onChange(() => this.#remembered.clear())
  }

  /** The metadata of all protocols, by name. */
  async listProtocols(): Promise<JsonObject> {
    const names = new Set(this.#deps.registry.list().flatMap(({ protocols }) => protocols))
    const found = await Promise.all(
      [...names].map(async (name) => [name, await this.#describe(name)] as const),
    )
    return Object.fromEntries(found.flatMap(([name, json]) => (json === undefined ? [] : [[name, json]])))
  }

  /** The metadata of one protocol. Throws `M_NOT_FOUND`. */
  async getProtocol(name: string): Promise<JsonObject> {
    const json = await this.#describe(name)
    if (json === undefined) throw notFound(`No application service bridges ${name.slice(0, 255)}`)
    return json
  }

  /** Places or people of a protocol with these properties, as all its services know them. Throws `M_NOT_FOUND`. */
  async search(
    kind: ThirdPartyKind,
    protocol: string,
    fields: Readonly<Record<string, string>>,
  ): Promise<JsonObject[]> {
    return this.#gather(
      kind,
      this.#deps.registry.list().filter(({ protocols }) => protocols.includes(protocol)),
      { path: `/${kind}/${encodeURIComponent(protocol)}`, fields },
    )
  }

  /** Places behind an alias, or people behind a user ID: `fields` names it. Throws `M_NOT_FOUND`. */
  async reverse(kind: ThirdPartyKind, fields: Readonly<Record<string, string>>): Promise<JsonObject[]> {
    const services = this.#deps.registry.list().filter(({ protocols }) => protocols.length > 0)
    return this.#gather(kind, services, { path: `/${kind}`, fields })
  }

  async #gather(
    kind: ThirdPartyKind,
    services: readonly AppserviceRegistration[],
    { path, fields }: { path: string; fields: Readonly<Record<string, string>> },
  ): Promise<JsonObject[]> {
    const answers = await Promise.all(
      services
        .filter(({ url }) => url !== undefined)
        .map((service) => this.#deps.client.askThirdParty(service, path, fields)),
    )
    const found = answers.flatMap((answer) => {
      if (!Array.isArray(answer)) return []
      return answer.filter(
        (item): item is JsonObject => isJsonObject(item) && REQUIRED[kind].every((key) => key in item),
      )
    })
    if (found.length === 0) throw notFound('No application service knows of any')
    return found
  }

  /** Several services may bridge one protocol: the first describes it, all name their instances. */
  async #describe(protocol: string): Promise<JsonObject | undefined> {
    const services = this.#deps.registry
      .list()
      .filter(({ url, protocols }) => url !== undefined && protocols.includes(protocol))
    const answers = await Promise.all(
      services.map(async (service) => ({ service, json: await this.#metadataOf(service, protocol) })),
    )
    const known = answers.flatMap(({ service, json }) => (json === undefined ? [] : [{ service, json }]))
    const [first] = known
    if (first === undefined) return undefined
    const instances = known.flatMap(({ service, json }) => instancesOf(service.id, json['instances']))
    return { ...first.json, instances }
  }

  async #metadataOf(service: AppserviceRegistration, protocol: string): Promise<JsonObject | undefined> {
    const key = `${service.id}\u0000${protocol}`
    const now = this.#deps.clock.now()
    const known = this.#remembered.get(key)
    if (known !== undefined && known.untilTs > now) return known.metadata
    const path = `/protocol/${encodeURIComponent(protocol)}`
    const answer = await this.#deps.client.askThirdParty(service, path)
    const metadata = isJsonObject(answer) ? answer : undefined
    const lifetimeMs = metadata === undefined ? REMEMBER_FAILURE_MS : REMEMBER_MS
    this.#remembered.set(key, { metadata, untilTs: now + lifetimeMs })
    return metadata
  }
}

/** Each has an ID by which the room directory can be asked for its rooms. */
function instancesOf(appserviceId: string, instances: JsonValue | undefined): JsonObject[] {
  if (!Array.isArray(instances)) return []
  return instances.filter(isJsonObject).map((instance) => {
    const { network_id: networkId } = instance
    return typeof networkId === 'string'
      ? { ...instance, instance_id: instanceId(appserviceId, networkId) }
      : instance
  })
}

/** The name of a network of a service, in the room directory: `third_party_instance_id`. */
function instanceId(appserviceId: string, networkId: string): string {
  return `${appserviceId}|${networkId}`
}

/** The inverse of `instanceId`; undefined for what is none. */
export function parseInstanceId(id: string): { appserviceId: string; networkId: string } | undefined {
  const separator = id.indexOf('|')
  if (separator <= 0) return undefined
  return { appserviceId: id.slice(0, separator), networkId: id.slice(separator + 1) }
}
