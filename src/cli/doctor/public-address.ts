import type { HomeserverConfig } from '../../config/homeserver-config.js'
import { HttpFailure, type HttpReply } from '../../net/http-client.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import type { DoctorContext } from './doctor-check.js'

const TIMEOUT_MS = 15_000

/** Host and port to which clients connect. */
export interface PublicAddress {
  readonly host: string
  readonly port: number
  readonly tls: boolean
}

/** Where `public_baseurl` leads. */
export function publicAddress({ server }: Pick<HomeserverConfig, 'server'>): PublicAddress {
  const url = new URL(server.publicBaseUrl)
  const tls = url.protocol === 'https:'
  const fallback = tls ? 443 : 80
  const host = url.hostname.replace(/^\[|\]$/g, '')
  return { host, port: url.port === '' ? fallback : Number(url.port), tls }
}

/** Asks for a path below `public_baseurl` as a client would; undefined with the reason where no answer comes. */
export async function askPublicly(
  { http, config }: Pick<DoctorContext, 'http' | 'config'>,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<HttpReply | string> {
  const url = config.server.publicBaseUrl.replace(/\/$/, '') + path
  return get(http, url, headers)
}

/** A GET; the reason where no answer comes. */
export async function get(
  http: DoctorContext['http'],
  url: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<HttpReply | string> {
  try {
    return await http.request({ method: 'GET', url, headers, timeoutMs: TIMEOUT_MS })
  } catch (error) {
    if (error instanceof HttpFailure) return error.message
    throw error
  }
}

/** The object that an answer holds; undefined for anything else. */
export function jsonOf({ body }: HttpReply): JsonObject | undefined {
  try {
    const json: unknown = JSON.parse(body.toString('utf8'))
    return isJsonObject(json) ? json : undefined
  } catch {
    return undefined
  }
}
