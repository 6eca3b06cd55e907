import { randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  buildHomeserverConfig,
  homeserverConfigSchema,
  type HomeserverConfig,
} from '../../src/config/homeserver-config.js'
import type { UserId } from '../../src/protocol/ids.js'
import { createHomeserver, type Homeserver } from '../../src/server/homeserver.js'
import type { Dns } from '../../src/net/dns.js'
import { createLogger, type LogOutput } from '../../src/telemetry/logger.js'
import type { Metrics } from '../../src/telemetry/metrics.js'
import type { Clock } from '../../src/util/clock.js'
import { createTestDatabase, startPostgres, type DatabaseKind, type TestDatabase } from './databases.js'
import { MatrixClient } from './matrix-client.js'

export const SERVER_NAME = 'hs.test'
export const PASSWORD = 'correct horse'

export interface TestServerOptions {
  /** Which database; SQLite by default. */
  readonly database?: DatabaseKind
  /** Keys of homeserver.yaml that differ from those of the test server. */
  readonly config?: Readonly<Record<string, unknown>>
  readonly clock?: Clock
  readonly metrics?: Metrics
  /** Where other servers are. */
  readonly dns?: Dns
  /** By default, errors go to standard error. */
  readonly log?: LogOutput
}

/** Limits that no test runs into unless it asks for them. */
const NO_LIMIT = { per_second: 100_000, burst_count: 100_000 }

const TEST_CONFIG = {
  server_name: SERVER_NAME,
  report_stats: false,
  // Databases of tests lie side by side.
  control_socket: false,
  listeners: [
    {
      port: 0,
      type: 'http',
      bind_addresses: ['127.0.0.1'],
      x_forwarded: true,
      resources: [{ names: ['client', 'federation', 'keys', 'media', 'metrics', 'openid', 'static'] }],
    },
  ],
  enable_registration: true,
  enable_registration_without_verification: true,
  registration_shared_secret: 'a shared secret',
  macaroon_secret_key: 'a secret',
  form_secret: 'another secret',
  signing_key: 'ed25519 a_test AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
  trusted_key_servers: [],
  // The cost of hashing is not what is tested.
  bcrypt_rounds: 4,
  rc_federation: { sleep_limit: 100_000, sleep_delay: 0, reject_limit: 100_000, concurrent: 100 },
  rc_message: NO_LIMIT,
  rc_registration: NO_LIMIT,
  rc_registration_token_validity: NO_LIMIT,
  rc_login: { address: NO_LIMIT, account: NO_LIMIT, failed_attempts: NO_LIMIT },
  rc_joins: { local: NO_LIMIT, remote: NO_LIMIT },
  rc_joins_per_room: NO_LIMIT,
  rc_invites: { per_room: NO_LIMIT, per_user: NO_LIMIT, per_issuer: NO_LIMIT },
  rc_third_party_invite: NO_LIMIT,
  rc_key_requests: NO_LIMIT,
  rc_presence: { per_user: NO_LIMIT },
  rc_reports: NO_LIMIT,
  rc_room_creation: NO_LIMIT,
  rc_user_directory: NO_LIMIT,
} as const

/** A configuration as of a file with these keys. Throws for what no server would start with. */
export function testConfig(keys: Readonly<Record<string, unknown>> = {}): HomeserverConfig {
  const raw = homeserverConfigSchema.parse({ ...TEST_CONFIG, ...keys })
  return buildHomeserverConfig(raw, {
    configDir: '/nonexistent',
    serverName: SERVER_NAME,
    env: {},
    fail: (path, message) => {
      throw new Error(`${path.join('.')}: ${message}`)
    },
    warn: () => undefined,
  })
}

/** A real server in this process, on a free port and a fresh database. */
export async function startHomeserver(options: TestServerOptions = {}): Promise<TestHomeserver> {
  const kind = options.database ?? 'sqlite'
  if (kind === 'postgres') await startPostgres()
  const database = await createTestDatabase(kind)
  const log = options.log ?? (await errorLog())
  const mediaStore = join(tmpdir(), `mxhs-media-${randomUUID()}`)
  const config = {
    ...testConfig({ media_store_path: mediaStore, ...options.config }),
    database: database.config as HomeserverConfig['database'],
  }
  try {
    const overrides = {
      log,
      ...(options.clock === undefined ? {} : { clock: options.clock }),
      ...(options.metrics === undefined ? {} : { metrics: options.metrics }),
      ...(options.dns === undefined ? {} : { dns: options.dns }),
    }
    const start = async (): Promise<Homeserver> => {
      const server = await createHomeserver(config, overrides)
      try {
        await server.start()
      } catch (error) {
        await server.stop()
        throw error
      }
      return server
    }
    return new TestHomeserver(await start(), { config, database: withMedia(database, mediaStore), start })
  } catch (error) {
    await database.remove()
    throw error
  }
}

/** A server that runs until it is disposed of, together with its database. */
export class TestHomeserver implements AsyncDisposable {
  readonly config: HomeserverConfig
  readonly #database: TestDatabase
  readonly #start: () => Promise<Homeserver>
  #server: Homeserver

  constructor(
    server: Homeserver,
    parts: { config: HomeserverConfig; database: TestDatabase; start: () => Promise<Homeserver> },
  ) {
    this.#server = server
    this.config = parts.config
    this.#database = parts.database
    this.#start = parts.start
  }

  get server(): Homeserver {
    return this.#server
  }

  /** Stops the server and starts another on the same database, at another port. */
  async restart(): Promise<void> {
    await this.#server.stop()
    this.#server = await this.#start()
  }

  /** As in `http://127.0.0.1:12345`, without a slash. */
  get url(): string {
    const address = this.server.addresses[0]
    if (address === undefined || !('url' in address)) throw new Error('The server does not listen at a port')
    return address.url
  }

  /** A client that is not logged in. */
  client(): MatrixClient {
    return new MatrixClient(this.url)
  }

  /** Registers a user with `PASSWORD` and gives the session that this begins. */
  async register(
    localpart: string,
    options: { isAdmin?: boolean; userType?: string } = {},
  ): Promise<MatrixClient> {
    const { isAdmin = false, userType } = options
    const { userId, session } = await this.server.services.accountRegistration.registerDirectly({
      username: localpart,
      password: PASSWORD,
      isAdmin,
      userType,
    })
    if (session === undefined) throw new Error('No session has begun')
    return this.client().withSession({ userId, deviceId: session.deviceId, accessToken: session.accessToken })
  }

  /** A further session of a user whom `register` has made. */
  async login(userId: UserId | string): Promise<MatrixClient> {
    return this.client().login(userId, PASSWORD)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.stop()
    await this.#database.remove()
  }
}

/** Runs the same stories on SQLite and on PostgreSQL. */
export function forEachServerDatabase(title: string, define: (database: DatabaseKind) => void): void {
  for (const database of ['sqlite', 'postgres'] as const) {
    describe(`${title} (${database})`, function () {
      before(async function () {
        // The first of a run brings up the server of PostgreSQL.
        this.timeout(60_000)
        if (database === 'postgres') await startPostgres()
      })
      define(database)
    })
  }
}

/** The database together with the directory of files, which is there once a file has come. */
function withMedia(database: TestDatabase, mediaStore: string): TestDatabase {
  return {
    ...database,
    async remove() {
      await database.remove()
      await rm(mediaStore, { recursive: true, force: true })
    },
  }
}

/** Errors only, where whoever runs the tests sees them. */
async function errorLog(): Promise<LogOutput> {
  return createLogger({ level: 'error', destination: { write: (line) => process.stderr.write(line) } })
}
