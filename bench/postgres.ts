import pg from 'pg'
import { PostgresServer } from '../test/support/postgres-server.js'

/** A PostgreSQL server with its own default settings (durable commits), and the `database` section that leads to it. */
export async function startPostgres(): Promise<AsyncDisposable & { readonly database: object }> {
  const server = await PostgresServer.start({ durable: true })
  const client = new pg.Client({ connectionString: server.url })
  await client.connect()
  await client.query("CREATE DATABASE bench TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'")
  await client.end()
  return {
    database: {
      name: 'psycopg2',
      args: { host: server.directory, user: 'postgres', dbname: 'bench', cp_min: 5, cp_max: 10 },
    },
    [Symbol.asyncDispose]: () => server.stop(),
  }
}
