import {
  ClientEvent,
  createClient,
  MatrixEventEvent,
  RoomEvent,
  type MatrixClient,
  type MatrixEvent,
} from 'matrix-js-sdk'
import type { CryptoApi, GeneratedSecretStorageKey } from 'matrix-js-sdk/lib/crypto-api/index.js'
import { logger, type Logger } from 'matrix-js-sdk/lib/logger.js'
import { checkedFetch } from './checked-fetch.js'
import { PASSWORD } from './homeserver.js'

/** A client of the real library that encrypts, and the key with which its user opens their secrets. */
export interface EncryptingClient {
  readonly client: MatrixClient
  readonly secret: { key?: GeneratedSecretStorageKey }
}

/** As long as something may take on a machine that has much else to do. */
const WAIT_MS = 60_000

/** Clients of matrix-js-sdk with its Rust crypto, which are silent until `stop`. */
export class EncryptingClients {
  readonly #url: () => string
  readonly #unmute = mute()
  readonly #running: MatrixClient[] = []
  #isOffline = false

  /** `url`: where the server is. */
  constructor(url: () => string) {
    this.#url = url
    const sessions = logger.getChild('[MatrixRTCSessionManager]') as unknown as { disableAll(): void }
    sessions.disableAll()
  }

  /** Logs a user in, whose password is `PASSWORD`, with a new device; resolves after its first sync. */
  async begin(user: string, secret: EncryptingClient['secret'] = {}): Promise<EncryptingClient> {
    const baseUrl = this.#url()
    const session = await createClient({ baseUrl, logger: silent, fetchFn: checkedFetch }).loginRequest({
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user },
      password: PASSWORD,
    })
    const client = createClient({
      baseUrl,
      userId: session.user_id,
      accessToken: session.access_token,
      deviceId: session.device_id,
      logger: silent,
      fetchFn: (...request) =>
        this.#isOffline ? Promise.reject(new TypeError('No network')) : checkedFetch(...request),
      cryptoCallbacks: {
        getSecretStorageKey: ({ keys }) => {
          const [keyId] = Object.keys(keys)
          const privateKey = secret.key?.privateKey
          return Promise.resolve(keyId === undefined || privateKey === undefined ? null : [keyId, privateKey])
        },
      },
    })
    await client.initRustCrypto({ useIndexedDB: false })
    this.#running.push(client)
    const prepared = new Promise<void>((resolve) => {
      client.once(ClientEvent.Sync, () => resolve())
    })
    await client.startClient({ initialSyncLimit: 20 })
    await prepared
    return { client, secret }
  }

  /** Takes all of them off the network, or lets them on it again. Requests that are under way are answered. */
  goOffline(isOffline = true): void {
    this.#isOffline = isOffline
    if (!isOffline) this.retryNow()
  }

  /** What no client could decrypt of a room. */
  undecrypted(roomId: string): MatrixEvent[] {
    return this.#running
      .flatMap((client) => eventsIn(client, roomId))
      .filter((event) => event.isDecryptionFailure())
  }

  /** Whoever waits to see whether the server is there again looks now. */
  retryNow(): void {
    for (const client of this.#running) client.retryImmediately()
  }

  stop(): void {
    for (const client of this.#running) client.stopClient()
    this.#unmute()
  }
}

export function cryptoOf({ client }: Pick<EncryptingClient, 'client'>): CryptoApi {
  const crypto = client.getCrypto()
  if (crypto === undefined) throw new Error('The client does not encrypt')
  return crypto
}

const ignore = (): void => undefined
export const silent: Logger = {
  getChild: () => silent,
  trace: ignore,
  debug: ignore,
  info: ignore,
  warn: ignore,
  error: ignore,
}

/** The library and its WebAssembly say what they do, whatever logger they are given. Returns what ends the silence. */
function mute(): () => void {
  const { debug, info, log, warn, error } = console
  Object.assign(console, { debug: ignore, info: ignore, log: ignore, warn: ignore, error: ignore })
  return () => Object.assign(console, { debug, info, log, warn, error })
}

export function eventsIn(client: MatrixClient, roomId: string): MatrixEvent[] {
  return client.getRoom(roomId)?.getLiveTimeline().getEvents() ?? []
}

/** What the events of a room say, decrypted. */
export function textsIn(client: MatrixClient, roomId: string): unknown[] {
  return eventsIn(client, roomId).map((event) => event.getContent()['body'] as unknown)
}

/** Resolves once the check holds; it is asked whenever the client has synced, seen or decrypted an event. */
export function until(client: MatrixClient, check: () => boolean): Promise<void> {
  const signals = [ClientEvent.Sync, RoomEvent.Timeline, MatrixEventEvent.Decrypted] as const
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      stop()
      reject(new Error(`${client.getSafeUserId()} has waited too long for ${check.toString()}`))
    }, WAIT_MS)
    const look = (): void => {
      if (!check()) return
      stop()
      resolve()
    }
    const stop = (): void => {
      clearTimeout(timer)
      for (const signal of signals) client.off(signal, look)
    }
    for (const signal of signals) client.on(signal, look)
    look()
  })
}

/** What no event of the client tells. */
export async function untilAsync(check: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + WAIT_MS
  while (!(await check())) {
    if (Date.now() > deadline) throw new Error(`Waited too long for ${check.toString()}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}
