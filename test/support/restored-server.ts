import pg from 'pg'
import { stringify } from 'yaml'
import { loadConfig } from '../../src/config/load.js'
import { createHomeserver, type Homeserver } from '../../src/server/homeserver.js'
import { createLogger } from '../../src/telemetry/logger.js'
import { createTestDatabase } from './databases.js'
import type { TestHomeserver } from './homeserver.js'
import type { Scratch } from './scratch.js'

/** Writes the configuration of a running test server, on either database, as it would stand in a file; gives its path. */
export function writeServerConfig(scratch: Scratch, server: TestHomeserver, more: object = {}): string {
  const { database, media } = server.config
  return scratch.write(
    'homeserver.yaml',
    stringify({
      server_name: server.config.server.serverName,
      listeners: [
        {
          port: 0,
          bind_addresses: ['127.0.0.1'],
          resources: [{ names: ['client', 'federation', 'keys', 'media'] }],
        },
      ],
      database:
        database.name === 'sqlite'
          ? { name: 'sqlite3', args: { database: database.path } }
          : { name: 'psycopg2', args: { dsn: 'url' in database.connection ? database.connection.url : '' } },
      media_store_path: media.storePath,
      control_socket: scratch.path('mxhs.sock'),
      signing_key_path: scratch.write(
        'signing.key',
        'ed25519 a_test AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n',
      ),
      registration_shared_secret: 'a shared secret',
      macaroon_secret_key: 'a secret',
      form_secret: 'another secret',
      trusted_key_servers: [],
      bcrypt_rounds: 4,
      ...more,
    }),
  )
}

/** Starts a server of a configuration on the disk, as it is; it reads that again when it is told to. */
export async function startConfigured(...paths: string[]): Promise<Homeserver> {
  const { config } = await loadConfig(paths)
  const log = await createLogger({
    level: 'error',
    destination: { write: (line) => process.stderr.write(line) },
  })
  const rereadConfig = async (): Promise<readonly string[]> => {
    const reread = await loadConfig(paths)
    await server.reload(reread.config)
    return []
  }
  const server = await createHomeserver(config, { log, rereadConfig })
  try {
    await server.start()
  } catch (error) {
    await server.stop()
    throw error
  }
  return server
}

export function urlOf(server: Homeserver): string {
  const address = server.addresses[0]
  if (address === undefined || !('url' in address)) throw new Error('The server does not listen at a port')
  return address.url
}

/** A PostgreSQL database with nothing in it at all. */
export async function createEmptyPostgres(): Promise<{ url: string; remove: () => Promise<void> }> {
  const { config, remove } = await createTestDatabase('postgres')
  if (config.name !== 'postgres' || !('url' in config.connection)) throw new Error('There is no URL')
  const { url } = config.connection
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public')
  } finally {
    await client.end()
  }
  return { url, remove }
}

/** Whether a database of PostgreSQL has a table. */
export async function hasTable(url: string, name: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const { rows } = await client.query<{ found: boolean }>('SELECT to_regclass($1) IS NOT NULL AS found', [
      name,
    ])
    return rows[0]?.found === true
  } finally {
    await client.end()
  }
}
