import { stringify } from 'yaml'
import type { Scratch } from './scratch.js'
import type { TestHomeserver } from './homeserver.js'

/** Where a server that commands are to find listens for them: for `config` of `startHomeserver`. */
export function controlSocketIn(scratch: Scratch): { control_socket: string } {
  return { control_socket: scratch.path('mxhs.sock') }
}

/** Writes the configuration with which commands find a test server on SQLite; gives its path. */
export function writeCommandConfig(scratch: Scratch, server: TestHomeserver): string {
  const { database, media } = server.config
  if (database.name !== 'sqlite') throw new Error('Commands are tried on SQLite')
  return scratch.write(
    'homeserver.yaml',
    stringify({
      server_name: server.config.server.serverName,
      database: { name: 'sqlite3', args: { database: database.path } },
      media_store_path: media.storePath,
      signing_key: 'ed25519 a_test AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
      trusted_key_servers: [],
      bcrypt_rounds: 4,
      ...controlSocketIn(scratch),
    }),
  )
}
