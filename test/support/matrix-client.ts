import { randomUUID } from 'node:crypto'
import { checkResponse } from './response-schemas.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../../src/util/json.js'

export interface ClientSession {
  readonly userId: string
  readonly deviceId: string
  readonly accessToken: string
}

export interface RequestOptions {
  readonly query?: Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>
  readonly body?: JsonValue
  /** Sent as it is, instead of `body`. */
  readonly rawBody?: string | Uint8Array
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
  /** The answer holds only parts of what the specification describes, as the client has asked. */
  readonly isPartial?: true
}

/** An answer, whatever its status. */
export interface ClientResponse {
  readonly status: number
  readonly headers: Headers
  /** The parsed body; an empty object where it is no JSON object. */
  readonly body: JsonObject
  readonly text: string
}

/** An answer of another status than 2xx. */
export class ClientError extends Error {
  override readonly name = 'ClientError'
  readonly status: number
  readonly errcode: string | undefined
  readonly body: JsonObject

  constructor(request: string, { status, body, text }: ClientResponse) {
    super(`${request}: ${status} ${text}`)
    this.status = status
    this.body = body
    this.errcode = typeof body['errcode'] === 'string' ? body['errcode'] : undefined
  }
}

/** Looks at the answer of one /sync; true when it has what is waited for. */
export type SyncCheck = (response: JsonObject, self: MatrixClient) => boolean

const SYNC_DEADLINE_MS = 8_000

/** A client as people have it: one session with one server, over HTTP. */
export class MatrixClient {
  readonly url: string
  readonly #session: ClientSession | undefined
  readonly #isForeign: boolean

  /** @param options `isForeign`: another homeserver, whose answers nobody has to answer for */
  constructor(url: string, session?: ClientSession, { isForeign = false } = {}) {
    this.url = url
    this.#session = session
    this.#isForeign = isForeign
  }

  get userId(): string {
    return this.#required.userId
  }

  get deviceId(): string {
    return this.#required.deviceId
  }

  get accessToken(): string {
    return this.#required.accessToken
  }

  withSession(session: ClientSession): MatrixClient {
    return new MatrixClient(this.url, session, { isForeign: this.#isForeign })
  }

  /**
   * Sends a request and gives the answer, whatever its status. Throws a `ResponseSchemaError` where that is not what the
   * specification says. `path` parts must be encoded: see `path`. */
  async request(method: string, target: string, options: RequestOptions = {}): Promise<ClientResponse> {
    const url = new URL(this.url + target)
    for (const [name, value] of Object.entries(options.query ?? {})) {
      if (value === undefined) continue
      for (const one of Array.isArray(value) ? value : [value]) url.searchParams.append(name, String(one))
    }
    const payload = options.rawBody ?? (options.body === undefined ? undefined : JSON.stringify(options.body))
    const response = await fetch(url, {
      method,
      redirect: 'manual',
      headers: {
        ...(this.#session === undefined ? {} : { Authorization: `Bearer ${this.#session.accessToken}` }),
        ...(payload === undefined ? {} : { 'Content-Type': 'application/json' }),
        ...options.headers,
      },
      ...(payload === undefined ? {} : { body: payload as string | Uint8Array<ArrayBuffer> }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    })
    const text = await response.text()
    const { status, headers } = response
    // Every answer must have the shape that the specification says: no test has to look at that.
    if (options.isPartial !== true && !this.#isForeign) {
      checkResponse({ method, path: url.pathname, status, contentType: headers.get('content-type'), text })
    }
    return { status, headers, body: parseObject(text), text }
  }

  /** As `request`, but gives the body and throws a `ClientError` unless the status is 2xx. */
  async must(method: string, target: string, options: RequestOptions = {}): Promise<JsonObject> {
    const response = await this.request(method, target, options)
    if (response.status >= 300) throw new ClientError(`${method} ${target}`, response)
    return response.body
  }

  /** Registers with the flow that asks for nothing. */
  async register(username: string, password: string): Promise<MatrixClient> {
    const body = { username, password, auth: { type: 'm.login.dummy' } }
    return this.#begin(await this.must('POST', '/_matrix/client/v3/register', { body }))
  }

  async login(user: string, password: string, options: { deviceId?: string } = {}): Promise<MatrixClient> {
    const body = {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user },
      password,
      ...(options.deviceId === undefined ? {} : { device_id: options.deviceId }),
    }
    return this.#begin(await this.must('POST', '/_matrix/client/v3/login', { body }))
  }

  /** Gives the room ID. */
  async createRoom(body: JsonObject = {}): Promise<string> {
    return textOf(await this.must('POST', '/_matrix/client/v3/createRoom', { body }), 'room_id')
  }

  /** Gives the room ID. */
  async join(roomIdOrAlias: string, options: { via?: readonly string[] } = {}): Promise<string> {
    const target = path`/_matrix/client/v3/join/${roomIdOrAlias}`
    const query = options.via === undefined ? {} : { via: options.via }
    return textOf(await this.must('POST', target, { query, body: {} }), 'room_id')
  }

  async leave(roomId: string, reason?: string): Promise<void> {
    await this.#membership(roomId, 'leave', { reason })
  }

  async forget(roomId: string): Promise<void> {
    await this.#membership(roomId, 'forget', {})
  }

  async invite(roomId: string, userId: string, reason?: string): Promise<void> {
    await this.#membership(roomId, 'invite', { user_id: userId, reason })
  }

  async kick(roomId: string, userId: string, reason?: string): Promise<void> {
    await this.#membership(roomId, 'kick', { user_id: userId, reason })
  }

  async ban(roomId: string, userId: string, reason?: string): Promise<void> {
    await this.#membership(roomId, 'ban', { user_id: userId, reason })
  }

  async unban(roomId: string, userId: string, reason?: string): Promise<void> {
    await this.#membership(roomId, 'unban', { user_id: userId, reason })
  }

  /** Gives the event ID. */
  async sendEvent(
    roomId: string,
    type: string,
    content: JsonObject,
    txnId: string = randomUUID(),
  ): Promise<string> {
    const target = path`/_matrix/client/v3/rooms/${roomId}/send/${type}/${txnId}`
    return textOf(await this.must('PUT', target, { body: content }), 'event_id')
  }

  /** Sends `m.text`; gives the event ID. */
  async sendText(roomId: string, text: string): Promise<string> {
    return this.sendEvent(roomId, 'm.room.message', { msgtype: 'm.text', body: text })
  }

  /** Gives the event ID. */
  async sendState(roomId: string, type: string, stateKey: string, content: JsonObject): Promise<string> {
    const target = path`/_matrix/client/v3/rooms/${roomId}/state/${type}/${stateKey}`
    return textOf(await this.must('PUT', target, { body: content }), 'event_id')
  }

  /** The content of a piece of state. */
  async state(roomId: string, type: string, stateKey = ''): Promise<JsonObject> {
    return this.must('GET', path`/_matrix/client/v3/rooms/${roomId}/state/${type}/${stateKey}`)
  }

  /** Gives the event ID of the redaction. */
  async redact(roomId: string, eventId: string, reason?: string): Promise<string> {
    const target = path`/_matrix/client/v3/rooms/${roomId}/redact/${eventId}/${randomUUID()}`
    return textOf(await this.must('PUT', target, { body: withoutUndefined({ reason }) }), 'event_id')
  }

  async messages(
    roomId: string,
    query: RequestOptions['query'] & object = { dir: 'b' },
  ): Promise<JsonObject> {
    return this.must('GET', path`/_matrix/client/v3/rooms/${roomId}/messages`, { query })
  }

  /** One /sync; answers at once unless `timeout` says otherwise. */
  async sync(
    options: {
      since?: string | undefined
      timeout?: number
      filter?: JsonObject | string
      fullState?: boolean
      setPresence?: string
      signal?: AbortSignal
      /** The filter takes fields out of events. */
      isPartial?: true
    } = {},
  ): Promise<JsonObject> {
    const { since, timeout = 0, filter, fullState, setPresence, signal, isPartial } = options
    const query = {
      since,
      timeout,
      filter: typeof filter === 'object' ? JSON.stringify(filter) : filter,
      full_state: fullState,
      set_presence: setPresence,
    }
    return this.must('GET', '/_matrix/client/v3/sync', {
      query,
      ...(signal !== undefined && { signal }),
      ...(isPartial && { isPartial }),
    })
  }

  /** The position to sync from: what has happened up to now. */
  async syncToken(): Promise<string> {
    return textOf(await this.sync(), 'next_batch')
  }

  /**
   * Syncs until one answer passes each check (not all the same answer); gives the last position. Throws, with what was
   * seen, when that takes too long.
   */
  async mustSyncUntil(
    checks: SyncCheck | readonly SyncCheck[],
    options: { since?: string; filter?: JsonObject | string } = {},
  ): Promise<string> {
    const open = new Set(typeof checks === 'function' ? [checks] : checks)
    const seen: JsonObject[] = []
    const deadline = Date.now() + SYNC_DEADLINE_MS
    let { since } = options
    while (Date.now() < deadline) {
      const response = await this.sync({ ...options, since, timeout: since === undefined ? 0 : 1000 })
      seen.push(response)
      for (const check of open) if (check(response, this)) open.delete(check)
      since = textOf(response, 'next_batch')
      if (open.size === 0) return since
    }
    const last = JSON.stringify(seen.slice(-5), undefined, 1)
    throw new Error(`${this.userId} has not seen ${open.size} of what was waited for; last answers:\n${last}`)
  }

  async #membership(roomId: string, action: string, body: Record<string, string | undefined>): Promise<void> {
    const target = `${path`/_matrix/client/v3/rooms/${roomId}/`}${action}`
    await this.must('POST', target, { body: withoutUndefined(body) })
  }

  #begin(body: JsonObject): MatrixClient {
    return this.withSession({
      userId: textOf(body, 'user_id'),
      deviceId: textOf(body, 'device_id'),
      accessToken: textOf(body, 'access_token'),
    })
  }

  get #required(): ClientSession {
    if (this.#session === undefined) throw new Error('The client is not logged in')
    return this.#session
  }
}

/** A path with its values percent-encoded. */
export function path(parts: TemplateStringsArray, ...values: readonly string[]): string {
  return parts.reduce((text, part, index) => text + encodeURIComponent(values[index - 1] ?? '') + part)
}

/** Follows keys into JSON; undefined where the way ends. */
export function dig(
  value: JsonValue | undefined,
  ...keys: readonly (string | number)[]
): JsonValue | undefined {
  let current = value
  for (const key of keys) {
    if (Array.isArray(current)) current = current[Number(key)]
    else if (isJsonObject(current)) current = current[String(key)]
    else return undefined
  }
  return current
}

/** Events of a list anywhere in JSON; empty where there is none. */
export function eventsAt(value: JsonValue | undefined, ...keys: readonly (string | number)[]): JsonObject[] {
  const list = dig(value, ...keys)
  return Array.isArray(list) ? list.filter(isJsonObject) : []
}

/** The user has joined the room: it is among those joined, with their membership in state or timeline. */
export function syncJoinedTo(roomId: string, userId?: string): SyncCheck {
  return (response, self) => {
    const room = dig(response, 'rooms', 'join', roomId)
    const events = [...eventsAt(room, 'timeline', 'events'), ...eventsAt(room, 'state', 'events')]
    return events.some((event) => isMembership(event, userId ?? self.userId, 'join'))
  }
}

export function syncInvitedTo(roomId: string): SyncCheck {
  return (response, self) =>
    eventsAt(response, 'rooms', 'invite', roomId, 'invite_state', 'events').some((event) =>
      isMembership(event, self.userId, 'invite'),
    )
}

/** The room is among those left. */
export function syncLeftFrom(roomId: string): SyncCheck {
  return (response) => dig(response, 'rooms', 'leave', roomId) !== undefined
}

export function syncTimelineHas(roomId: string, check: (event: JsonObject) => boolean): SyncCheck {
  return (response) => eventsAt(response, 'rooms', 'join', roomId, 'timeline', 'events').some(check)
}

export function syncTimelineHasEventId(roomId: string, eventId: string): SyncCheck {
  return syncTimelineHas(roomId, (event) => event['event_id'] === eventId)
}

export function syncEphemeralHas(roomId: string, check: (event: JsonObject) => boolean): SyncCheck {
  return (response) => eventsAt(response, 'rooms', 'join', roomId, 'ephemeral', 'events').some(check)
}

export function syncToDeviceHas(check: (event: JsonObject) => boolean): SyncCheck {
  return (response) => eventsAt(response, 'to_device', 'events').some(check)
}

function isMembership(event: JsonObject, userId: string, membership: string): boolean {
  return (
    event['type'] === 'm.room.member' &&
    event['state_key'] === userId &&
    dig(event, 'content', 'membership') === membership
  )
}

function textOf(body: JsonObject, key: string): string {
  const value = body[key]
  if (typeof value !== 'string') throw new Error(`No ${key} in ${JSON.stringify(body)}`)
  return value
}

function parseObject(text: string): JsonObject {
  try {
    const value = JSON.parse(text) as JsonValue
    return isJsonObject(value) ? value : {}
  } catch {
    return {}
  }
}

function withoutUndefined(fields: Record<string, string | undefined>): JsonObject {
  return JSON.parse(JSON.stringify(fields)) as JsonObject
}
