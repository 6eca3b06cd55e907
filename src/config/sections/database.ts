import { readFileSync } from 'node:fs'
import { section, type SectionContext } from '../section.js'
import { choice, group, integer, looseText, optional, text, value, withDefault } from '../values.js'

export interface SqliteDatabaseConfig {
  readonly name: 'sqlite'
  /** The file; `:memory:` is a temporary one. */
  readonly path: string
  /** `full`: a commit survives the loss of power; `normal`: it survives the end of the process. */
  readonly synchronous: 'normal' | 'full'
}

export interface PostgresDatabaseConfig {
  readonly name: 'postgres'
  readonly connection: { readonly url: string } | PostgresAddress
  readonly poolMax: number
  readonly applicationName: string
  /** `off`: a commit may be lost with the loss of power, but nothing is left half done. */
  readonly synchronousCommit: 'on' | 'off'
}

/** The names of node-postgres; libpq's environment variables fill the gaps. */
export interface PostgresAddress {
  readonly host?: string
  readonly port?: number
  readonly user?: string
  readonly password?: string
  readonly database?: string
  readonly ssl?: boolean | PostgresTls
}

export interface PostgresTls {
  readonly rejectUnauthorized: boolean
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  /** `verify-ca`: whoever the certificate names. */
  readonly checkServerIdentity?: () => undefined
}

export type DatabaseConfig = SqliteDatabaseConfig | PostgresDatabaseConfig

const postgresPort = value('a port', (raw) => {
  const port = Number(raw)
  return (typeof raw === 'number' || typeof raw === 'string') &&
    Number.isInteger(port) &&
    port > 0 &&
    port < 65536
    ? port
    : undefined
})
/** YAML takes `on` and `off` for true and false. */
const synchronousMode = value<'normal' | 'full'>('normal or full (for PostgreSQL: on or off)', (raw) => {
  if (raw === 'full' || raw === 'on' || raw === true) return 'full'
  return raw === 'normal' || raw === 'off' || raw === false ? 'normal' : undefined
})
const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const

const args = group({
  database: optional(text),
  dbname: optional(text),
  dsn: optional(text),
  host: optional(text),
  hostaddr: optional(text),
  port: optional(postgresPort),
  user: optional(text),
  password: optional(looseText),
  sslmode: optional(choice(...SSL_MODES)),
  sslrootcert: optional(text),
  sslcert: optional(text),
  sslkey: optional(text),
  application_name: optional(text),
  cp_max: withDefault(integer(1, 10_000), 10),
})

type Args = ReturnType<(typeof args)['parse']>

/** Where everything is kept. */
export const database = section(
  {
    database: group({
      name: withDefault(choice('sqlite3', 'psycopg2'), 'sqlite3'),
      args,
      synchronous: optional(synchronousMode),
    }),
  },
  ({ database: { name, args: given, synchronous } }, context): DatabaseConfig =>
    name === 'sqlite3'
      ? {
          name: 'sqlite',
          path: given.database ?? 'homeserver.db',
          synchronous: synchronous ?? 'normal',
        }
      : {
          name: 'postgres',
          connection: connectionOf(given, context),
          poolMax: given.cp_max,
          applicationName: given.application_name ?? 'mxhs',
          synchronousCommit: synchronous === 'normal' ? 'off' : 'on',
        },
)

const URL_DSN = /^postgres(?:ql)?:\/\//
/** `key=value key='value with spaces'`, as libpq has it. */
const DSN_PART = /\s*([a-z_]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))\s*/gy

function connectionOf(given: Args, context: SectionContext): PostgresDatabaseConfig['connection'] {
  if (given.dsn === undefined) return addressOf(given, context)
  if (URL_DSN.test(given.dsn)) return { url: given.dsn }
  const parts = parseDsn(given.dsn)
  const parsed = args.safeParse(parts)
  if (parts === undefined || !parsed.success) {
    context.fail(
      ['database', 'args', 'dsn'],
      'expected a URL (postgresql://...) or pairs such as host=localhost',
    )
    return {}
  }
  // What stands beside the string counts more, as in psycopg2.
  const beside = Object.fromEntries(Object.entries(given).filter(([, part]) => part !== undefined))
  return addressOf({ ...parsed.data, ...beside }, context)
}

function parseDsn(dsn: string): Record<string, string> | undefined {
  const parts: Record<string, string> = {}
  let end = 0
  for (const match of dsn.matchAll(DSN_PART)) {
    parts[match[1]!] = (match[2] ?? match[3] ?? '').replace(/\\(.)/g, '$1')
    end = match.index + match[0].length
  }
  return end === dsn.length ? parts : undefined
}

function addressOf(given: Args, context: SectionContext): PostgresAddress {
  const host = given.hostaddr ?? given.host
  const name = given.dbname ?? given.database
  const ssl = tlsOf(given, context)
  return {
    ...(host === undefined ? {} : { host }),
    ...(given.port === undefined ? {} : { port: given.port }),
    ...(given.user === undefined ? {} : { user: given.user }),
    ...(given.password === undefined ? {} : { password: given.password }),
    ...(name === undefined ? {} : { database: name }),
    ...(ssl === undefined ? {} : { ssl }),
  }
}

function tlsOf(given: Args, context: SectionContext): boolean | PostgresTls | undefined {
  const { sslmode } = given
  if (sslmode === 'disable') return false
  // Those that would rather not, or would put up without, get none: node-postgres does not try both.
  if (sslmode === undefined || sslmode === 'allow' || sslmode === 'prefer') return undefined
  const ca = readPart('sslrootcert', given.sslrootcert, context)
  const cert = readPart('sslcert', given.sslcert, context)
  const key = readPart('sslkey', given.sslkey, context)
  return {
    // As libpq: `require` checks the certificate only when there is something to check it against.
    rejectUnauthorized: sslmode !== 'require' || ca !== undefined,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(sslmode === 'verify-full' ? {} : { checkServerIdentity: () => undefined }),
  }
}

function readPart(name: string, path: string | undefined, context: SectionContext): string | undefined {
  if (path === undefined) return undefined
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    context.fail(['database', 'args', name], (error as Error).message)
    return undefined
  }
}
