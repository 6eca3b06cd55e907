import { createHmac } from 'node:crypto'
import type { ListenerConfig } from '../config/sections/listeners.js'
import { isJsonObject, type JsonObject } from '../util/json.js'
import { CommandFailure } from './failures.js'

export interface NewUser {
  readonly username: string
  readonly password: string
  readonly isAdmin: boolean
  readonly userType: string | undefined
}

const PATH = '/_synapse/admin/v1/register'
const TIMEOUT_MS = 60_000
export const DEFAULT_SERVER_URL = 'http://localhost:8008'

/**
 * Makes an account at a server that runs, by its shared secret; gives the server's answer. Undefined: there is such a
 * user already. Throws a `CommandFailure` when the server cannot be reached or refuses.
 */
export async function registerUser(
  serverUrl: string,
  secret: string,
  user: NewUser,
): Promise<JsonObject | undefined> {
  const url = serverUrl.replace(/\/+$/, '') + PATH
  const { nonce } = await call(url, undefined)
  if (typeof nonce !== 'string') throw new CommandFailure(`${serverUrl} is not a homeserver with ${PATH}`)
  const answer = await call(url, {
    nonce,
    username: user.username,
    password: user.password,
    admin: user.isAdmin,
    ...(user.userType === undefined ? {} : { user_type: user.userType }),
    mac: macOf(nonce, secret, user),
  })
  return answer['errcode'] === 'M_USER_IN_USE' ? undefined : answer
}

function macOf(nonce: string, secret: string, user: NewUser): string {
  const fields = [nonce, user.username, user.password, user.isAdmin ? 'admin' : 'notadmin']
  if (user.userType !== undefined) fields.push(user.userType)
  return createHmac('sha1', secret).update(fields.join('\0')).digest('hex')
}

async function call(url: string, body: JsonObject | undefined): Promise<JsonObject> {
  const response = await send(url, body)
  const answer: unknown = await response.json().catch(() => undefined)
  const json = isJsonObject(answer) ? answer : {}
  if (response.ok || json['errcode'] === 'M_USER_IN_USE') return json
  if (json['errcode'] === 'M_UNRECOGNIZED') {
    throw new CommandFailure(
      'The server makes no accounts by a shared secret: an authentication service may have them in its hands',
    )
  }
  const reason = typeof json['error'] === 'string' ? json['error'] : response.statusText
  throw new CommandFailure(`The server refused: ${reason} (${response.status})`)
}

async function send(url: string, body: JsonObject | undefined): Promise<Response> {
  const signal = AbortSignal.timeout(TIMEOUT_MS)
  try {
    if (body === undefined) return await fetch(url, { signal })
    return await fetch(url, {
      signal,
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  } catch (error) {
    throw new CommandFailure(`Cannot reach the server at ${new URL(url).origin}: ${reasonOf(error)}`, {
      cause: error,
    })
  }
}

/** fetch says "fetch failed"; why is in the cause, and there in the first of several attempts. */
function reasonOf(error: unknown): string {
  const { cause } = error as { cause?: unknown }
  if (cause instanceof AggregateError && cause.errors[0] instanceof Error) return cause.errors[0].message
  return cause instanceof Error ? cause.message : (error as Error).message
}

/** The URL at which this machine reaches a server with these listeners; undefined when none of them will do. */
export function localServerUrl(listeners: readonly ListenerConfig[]): string | undefined {
  for (const { type, address, tls, resources } of listeners) {
    if (type !== 'http' || tls || !('port' in address)) continue
    if (!resources.some(({ name }) => name === 'client')) continue
    return `http://${hostOf(address.bindAddresses)}:${address.port}`
  }
  return undefined
}

const HERE: ReadonlySet<string> = new Set(['::', '0.0.0.0', '::1', '127.0.0.1', 'localhost'])

function hostOf(bindAddresses: readonly string[]): string {
  const [address] = bindAddresses
  if (address === undefined || bindAddresses.some((candidate) => HERE.has(candidate))) return 'localhost'
  return address.includes(':') ? `[${address}]` : address
}
