import type { JsonObject } from '../../util/json.js'

/** What discovery says to clients. */
export interface ClientWellKnownOptions {
  /** `public_baseurl`; undefined: the server says nothing. */
  readonly publicBaseUrl: string | undefined
  /** `default_identity_server`. */
  readonly identityServerUrl: string | undefined
  /** `extra_well_known_client_content`. */
  readonly extra: Readonly<JsonObject>
  /** How clients reach each other in calls; undefined: nothing is said of it. */
  readonly rtcTransports?: readonly JsonObject[] | undefined
}

/**
 * `/.well-known/matrix/client` and the `well_known` of a login; undefined where the operator has not said which URL
 * clients use. https://spec.matrix.org/latest/client-server-api/#well-known-uris
 */
export function buildClientWellKnown(options: ClientWellKnownOptions): JsonObject | undefined {
  if (options.publicBaseUrl === undefined) return undefined
  return {
    'm.homeserver': { base_url: options.publicBaseUrl },
    ...(options.identityServerUrl === undefined
      ? {}
      : { 'm.identity_server': { base_url: options.identityServerUrl } }),
    ...(options.rtcTransports && { 'org.matrix.msc4143.rtc_foci': [...options.rtcTransports] }),
    ...options.extra,
  }
}
