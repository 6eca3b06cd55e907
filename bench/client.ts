import { createHmac } from 'node:crypto'
import { Pool } from 'undici'

type Json = Record<string, unknown>

/** One keep-alive pool to a homeserver; answers other than 2xx throw. */
export class BenchClient {
  readonly #pool: Pool
  readonly #sharedSecret: string

  constructor(baseUrl: string, options: { sharedSecret: string; connections: number }) {
    this.#pool = new Pool(baseUrl, {
      connections: options.connections,
      pipelining: 1,
      headersTimeout: 120_000,
    })
    this.#sharedSecret = options.sharedSecret
  }

  async request<T = Json>(
    method: 'GET' | 'PUT' | 'POST',
    path: string,
    token?: string,
    body?: Json,
  ): Promise<T> {
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
    return JSON.parse(text) as T
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

  async createRoom(body: Json = { preset: 'public_chat' }): Promise<string> {
    const answer = await this.#client.request<{ room_id: string }>(
      'POST',
      '/_matrix/client/v3/createRoom',
      this.token,
      body,
    )
    return answer.room_id
  }

  async join(roomId: string): Promise<void> {
    await this.#client.request(
      'POST',
      `/_matrix/client/v3/join/${encodeURIComponent(roomId)}`,
      this.token,
      {},
    )
  }

  async send(roomId: string, body: string): Promise<string> {
    const txnId = `bench${process.pid}.${this.#txn++}`
    const path = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/send/m.room.message/${txnId}`
    const answer = await this.#client.request<{ event_id: string }>('PUT', path, this.token, {
      msgtype: 'm.text',
      body,
    })
    return answer.event_id
  }

  /** One request of sliding sync, with a list named `all_rooms`. */
  async slidingSync(body: Json, pos?: string): Promise<{ pos: string; count: number }> {
    const query = new URLSearchParams({ timeout: '0', ...(pos !== undefined && { pos }) })
    const path = `/_matrix/client/unstable/org.matrix.simplified_msc3575/sync?${query.toString()}`
    const answer = await this.#client.request<SlidingAnswer>('POST', path, this.token, body)
    return { pos: answer.pos, count: answer.lists.all_rooms.count }
  }

  sync(since?: string, timeoutMs = 0): Promise<SyncAnswer> {
    const query = new URLSearchParams({ timeout: String(timeoutMs), ...(since && { since }) })
    return this.#client.request<SyncAnswer>('GET', `/_matrix/client/v3/sync?${query.toString()}`, this.token)
  }
}
