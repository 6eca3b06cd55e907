import { createHmac } from 'node:crypto'
import { Readable } from 'node:stream'
import { Pool } from 'undici'

type Json = Record<string, unknown>

/** One keep-alive pool to a homeserver; answers other than 2xx throw. */
export class BenchClient {
  readonly #pool: Pool
  readonly #sharedSecret: string
  readonly #costMs: number
  readonly url: string

  /**
   * @param options.costUs microseconds that the client computes before each request. On few cores a client takes from
   *   what it measures, so that figures of two clients compare only where both cost the same.
   */
  constructor(baseUrl: string, options: { sharedSecret: string; connections: number; costUs?: number }) {
    this.url = baseUrl
    this.#pool = new Pool(baseUrl, {
      connections: options.connections,
      pipelining: 1,
      headersTimeout: 120_000,
    })
    this.#sharedSecret = options.sharedSecret
    this.#costMs = (options.costUs ?? 0) / 1000
  }

  async request<T = Json>(
    method: 'GET' | 'PUT' | 'POST',
    path: string,
    token?: string,
    body?: Json,
  ): Promise<T> {
    return JSON.parse(await this.requestText(method, path, token, body)) as T
  }

  /** As `request`, with the answer as it has arrived. */
  async requestText(
    method: 'GET' | 'PUT' | 'POST',
    path: string,
    token?: string,
    body?: Json,
  ): Promise<string> {
    compute(this.#costMs)
    const response = await this.#pool.request({
      method,
      path,
      headers: {
        ...(token && { authorization: `Bearer ${token}` }),
        ...(body && { 'content-type': 'application/json' }),
      },
      body: body ? JSON.stringify(body) : null,
    })
    const text = await response.body.text()
    if (response.statusCode >= 300) throw new Error(`${method} ${path}: ${response.statusCode} ${text}`)
    return text
  }

  /** Uploads a file of so many bytes, which come as they are taken; gives its `mxc:` address. */
  async upload(token: string, bytes: number, chunks: Iterable<Uint8Array>): Promise<string> {
    const response = await this.#pool.request({
      method: 'POST',
      path: '/_matrix/media/v3/upload',
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/octet-stream',
        'content-length': String(bytes),
      },
      body: Readable.from(chunks, { objectMode: false }),
    })
    const text = await response.body.text()
    if (response.statusCode >= 300) throw new Error(`Upload: ${response.statusCode} ${text}`)
    return (JSON.parse(text) as { content_uri: string }).content_uri
  }

  /** Registers a user by the shared secret and gives a session. */
  async register(username: string, password = 'bench-password'): Promise<Session> {
    const path = '/_synapse/admin/v1/register'
    const { nonce } = await this.request<{ nonce: string }>('GET', path)
    const mac = createHmac('sha1', this.#sharedSecret)
      .update([nonce, username, password, 'notadmin'].join('\0'))
      .digest('hex')
    const body = { nonce, username, password, admin: false, mac }
    const answer = await this.request<{ user_id: string; access_token: string }>(
      'POST',
      path,
      undefined,
      body,
    )
    return new Session(this, answer.user_id, answer.access_token)
  }

  async login(username: string, password = 'bench-password'): Promise<Session> {
    const answer = await this.request<{ user_id: string; access_token: string }>(
      'POST',
      '/_matrix/client/v3/login',
      undefined,
      { type: 'm.login.password', identifier: { type: 'm.id.user', user: username }, password },
    )
    return new Session(this, answer.user_id, answer.access_token)
  }

  close(): Promise<void> {
    return this.#pool.close()
  }
}

interface SlidingAnswer {
  readonly pos: string
  readonly lists: { readonly all_rooms: { readonly count: number } }
}

export interface SyncAnswer {
  readonly next_batch: string
  readonly rooms?: { readonly join?: Record<string, { timeline: { events: { event_id: string }[] } }> }
  readonly to_device?: { readonly events: readonly unknown[] }
}

/** A logged-in user. */
export class Session {
  readonly #client: BenchClient
  readonly userId: string
  readonly token: string
  #txn = 0

  constructor(client: BenchClient, userId: string, token: string) {
    this.#client = client
    this.userId = userId
    this.token = token
  }

  /** Any request in this session's name; gives the answer's JSON. */
  request<T = Json>(method: 'GET' | 'PUT' | 'POST', path: string, body?: Json): Promise<T> {
    return this.#client.request<T>(method, path, this.token, body)
  }

  /** The ID of the session's device. */
  async deviceId(): Promise<string> {
    const path = '/_matrix/client/v3/account/whoami'
    return (await this.request<{ device_id: string }>('GET', path)).device_id
  }

  async createRoom(body: Json = { preset: 'public_chat' }): Promise<string> {
    const path = '/_matrix/client/v3/createRoom'
    return (await this.request<{ room_id: string }>('POST', path, body)).room_id
  }

  async sendState(
    roomId: string,
    { type, stateKey, content }: { type: string; stateKey: string; content: Json },
  ): Promise<void> {
    const key = `${encodeURIComponent(type)}/${encodeURIComponent(stateKey)}`
    await this.request('PUT', `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/state/${key}`, content)
  }

  /** @param via the server through which a room is joined that the own one is not in */
  async join(roomId: string, via?: string): Promise<void> {
    const query = via === undefined ? '' : `?${new URLSearchParams({ via, server_name: via }).toString()}`
    await this.request('POST', `/_matrix/client/v3/join/${encodeURIComponent(roomId)}${query}`, {})
  }

  async send(roomId: string, body: string): Promise<string> {
    const txnId = `bench${process.pid}.${this.#txn++}`
    const path = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/send/m.room.message/${txnId}`
    const answer = await this.request<{ event_id: string }>('PUT', path, {
      msgtype: 'm.text',
      body,
    })
    return answer.event_id
  }

  /** One request of sliding sync, with a list named `all_rooms`. */
  async slidingSync(body: Json, pos?: string): Promise<{ pos: string; count: number }> {
    const query = new URLSearchParams({ timeout: '0', ...(pos !== undefined && { pos }) })
    const path = `/_matrix/client/unstable/org.matrix.simplified_msc3575/sync?${query.toString()}`
    const answer = await this.request<SlidingAnswer>('POST', path, body)
    return { pos: answer.pos, count: answer.lists.all_rooms.count }
  }

  sync(since?: string, timeoutMs = 0, filter?: Json): Promise<SyncAnswer> {
    const query = new URLSearchParams({
      timeout: String(timeoutMs),
      ...(since && { since }),
      ...(filter && { filter: JSON.stringify(filter) }),
    })
    return this.request<SyncAnswer>('GET', `/_matrix/client/v3/sync?${query.toString()}`)
  }

  /** An initial sync, as it has arrived: the time to read it would be that of the load generator. */
  initialSyncText(): Promise<string> {
    return this.#client.requestText('GET', '/_matrix/client/v3/sync?timeout=0', this.token)
  }
}

/** Keeps this thread busy for so many milliseconds. */
function compute(ms: number): void {
  const end = performance.now() + ms
  while (performance.now() < end);
}
