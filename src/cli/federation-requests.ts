import { isIP } from 'node:net'
import type { HomeserverConfig } from '../config/homeserver-config.js'
import { loadSigningKeys } from '../config/signing-key-file.js'
import { HttpFailure, type HttpReply } from '../net/http-client.js'
import type { ServerName } from '../protocol/ids.js'
import { readServerKeys, type ServerKeyDocument } from '../protocol/server-keys.js'
import { createSigner } from '../protocol/signing-keys.js'
import { formatXMatrix, requestText } from '../protocol/x-matrix.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../util/json.js'
import { CommandFailure, UsageError } from './failures.js'
import { withFederationNetwork, type FederationNetwork } from './federation-network.js'

const TIMEOUT_MS = 60_000
const MAX_BYTES = 100 * 1024 * 1024

/** Where a server may be reached. */
export interface ServerPlaces {
  readonly server: string
  readonly rule: string
  /** The server that `/.well-known/matrix/server` names. */
  readonly wellKnown: string | null
  /** In the order in which they are tried. */
  readonly places: readonly {
    readonly host: string
    readonly port: number
    readonly addresses: readonly string[]
    readonly certificateName: string
  }[]
}

/** Follows the name of a server, and looks up the addresses of all places. */
export function resolveServer(
  serverName: ServerName,
  config: HomeserverConfig | undefined,
): Promise<ServerPlaces> {
  return withFederationNetwork(config, async ({ resolver, dialing }) => {
    const { rule, targets, wellKnown } = await resolver.resolve(serverName)
    const places = targets.map(async ({ host, port, tlsName }) => ({
      host,
      port,
      addresses: isIP(host) === 0 ? await addressesOf(dialing.dns.lookup(host)) : [host],
      certificateName: tlsName,
    }))
    return {
      server: serverName,
      rule,
      wellKnown: wellKnown?.kind === 'delegated' ? wellKnown.server : null,
      places: await Promise.all(places),
    }
  })
}

async function addressesOf(lookup: Promise<readonly { readonly address: string }[]>): Promise<string[]> {
  try {
    return (await lookup).map(({ address }) => address)
  } catch {
    return []
  }
}

/** What a server has answered. */
export interface SignedAnswer {
  readonly status: number
  /** JSON, or else text. */
  readonly body: JsonValue
}

/**
 * Sends a request in the name of the server of a configuration. `body`: JSON of an object. Throws a `UsageError` for
 * other bodies, a `CommandFailure` when no answer comes.
 */
export async function sendSignedRequest(
  config: HomeserverConfig,
  request: {
    readonly serverName: ServerName
    readonly method: 'GET' | 'PUT' | 'POST'
    readonly path: string
    readonly body: string | undefined
  },
): Promise<SignedAnswer> {
  const { serverName: destination, method, path } = request
  const content = request.body === undefined ? undefined : parseBody(request.body)
  const { serverName: origin } = config.server
  const { signing } = await loadSigningKeys(config.signingKeys)
  const signer = createSigner(origin, signing)
  const signature = signer.sign(requestText({ method, uri: path, origin, destination, content }))
  const headers = {
    Authorization: formatXMatrix({ origin, destination, keyId: signer.keyId, signature }),
    ...(content === undefined ? {} : { 'Content-Type': 'application/json' }),
  }
  return withFederationNetwork(config, async (network) => {
    const sent = { method, path, headers, body: content && JSON.stringify(content) }
    const { status, body } = await ask(network, destination, sent)
    const text = body.toString('utf8')
    return { status, body: parse(text) ?? text }
  })
}

/** What a server has published of its keys. */
export interface PublishedKeys {
  readonly server: string
  readonly keys: readonly {
    readonly keyId: string
    /** In Base64. */
    readonly publicKey: string
    /** In ISO 8601. */
    readonly validUntil: string
    readonly isOld: boolean
  }[]
}

/** The keys of a server, from itself or from a notary. Throws a `CommandFailure` where they cannot be had. */
export function fetchKeys(
  config: HomeserverConfig | undefined,
  { serverName, notary }: { readonly serverName: ServerName; readonly notary: ServerName | undefined },
): Promise<PublishedKeys> {
  return withFederationNetwork(config, async (network) => {
    const document =
      notary === undefined
        ? toDocument(serverName, await getJson(network, serverName, '/_matrix/key/v2/server'))
        : await askNotary(network, serverName, notary)
    return {
      server: serverName,
      keys: document.keys.map(({ keyId, key, validUntilTs, isOld }) => ({
        keyId,
        publicKey: key.base64,
        validUntil: new Date(validUntilTs).toISOString(),
        isOld,
      })),
    }
  })
}

async function askNotary(
  network: FederationNetwork,
  serverName: ServerName,
  notary: ServerName,
): Promise<ServerKeyDocument> {
  const json = await getJson(network, notary, `/_matrix/key/v2/query/${encodeURIComponent(serverName)}`)
  const list = isJsonObject(json) ? json['server_keys'] : undefined
  const document = Array.isArray(list) ? list[0] : undefined
  if (document === undefined) throw new CommandFailure(`${notary} does not know the keys of ${serverName}`)
  return toDocument(serverName, document)
}

function toDocument(serverName: ServerName, json: JsonValue | undefined): ServerKeyDocument {
  const document = readServerKeys(json, serverName)
  if ('problem' in document) {
    throw new CommandFailure(`The keys of ${serverName} cannot be used: ${document.problem}`)
  }
  return document
}

async function getJson(
  network: FederationNetwork,
  serverName: ServerName,
  path: string,
): Promise<JsonValue | undefined> {
  const { status, body } = await ask(network, serverName, {
    method: 'GET',
    path,
    headers: {},
    body: undefined,
  })
  if (status !== 200) throw new CommandFailure(`${serverName} answers with status ${status}`)
  return parse(body.toString('utf8'))
}

async function ask(
  { transport }: FederationNetwork,
  serverName: ServerName,
  request: {
    method: 'GET' | 'PUT' | 'POST'
    path: string
    headers: Readonly<Record<string, string>>
    body: string | undefined
  },
): Promise<HttpReply> {
  try {
    return await transport.request({ ...request, serverName, timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES })
  } catch (error) {
    if (!(error instanceof HttpFailure)) throw error
    const hint = `mxhs federation check ${serverName} says more`
    throw new CommandFailure(`${serverName}: ${error.message} (${hint})`, { cause: error })
  }
}

function parseBody(text: string): JsonObject {
  const json = parse(text)
  if (!isJsonObject(json)) throw new UsageError('The body must be a JSON object')
  return json
}

function parse(text: string): JsonValue | undefined {
  try {
    return JSON.parse(text) as JsonValue
  } catch {
    return undefined
  }
}
