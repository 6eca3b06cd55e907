import pg from 'pg'
import { PostgresServer } from '../test/support/postgres-server.js'

export interface BenchPostgres extends AsyncDisposable {
  /** The `database` section that leads to the first database. */
  readonly database: object
  /** Makes another database and gives its `database` section. */
  create(): Promise<object>
}

/** A PostgreSQL server with its own default settings (durable commits). */
export async function startPostgres(): Promise<BenchPostgres> {
  const server = await PostgresServer.start({ durable: true })
  let count = 0
  const create = async (): Promise<object> => {
    const dbname = `bench${++count}`
    const client = new pg.Client({ connectionString: server.url })
    await client.connect()
    await client.query(
      `CREATE DATABASE ${dbname} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'`,
    )
    await client.end()
    return {
      name: 'psycopg2',
      args: { host: server.directory, user: 'postgres', dbname, cp_min: 5, cp_max: 10 },
    }
  }
  return { database: await create(), create, [Symbol.asyncDispose]: () => server.stop() }
}
