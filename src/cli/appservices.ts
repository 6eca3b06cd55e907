import { readFileSync } from 'node:fs'
import { clashOf, readRegistrationFile, readRegistrationFiles } from '../config/appservice-files.js'
import type { HomeserverConfig } from '../config/homeserver-config.js'
import { loadConfig } from '../config/load.js'
import {
  parseRegistration,
  registrationJson,
  reviewRegistration,
  type AppserviceRegistration,
} from '../protocol/appservice-registration.js'
import type { ServerName } from '../protocol/ids.js'
import type { Database } from '../storage/database.js'
import { AppservicesStore, type AppserviceState, type DeadLetter } from '../storage/stores/appservices.js'
import { systemClock } from '../util/clock.js'
import { CommandFailure } from './failures.js'
import { withDatabase } from './with-database.js'

/** An application service of a server, and how it is doing. */
export interface ListedAppservice {
  readonly id: string
  readonly url: string | null
  readonly sender: string
  /** `file`: of the configuration; `database`: added by a command. */
  readonly source: 'file' | 'database'
  readonly state: 'new' | 'up' | 'failing' | 'no url'
  readonly failures: number
  readonly failingSinceTs: number | null
  readonly lastSuccessTs: number | null
  readonly lastError: string | null
  /** Transactions that were put aside. */
  readonly deadLetters: number
}

/** What there is to say of a registration file. */
export interface RegistrationReport {
  readonly id: string
  readonly remarks: readonly string[]
}

interface Known {
  readonly registration: AppserviceRegistration
  readonly source: ListedAppservice['source']
}

/** All application services, those of files first. Throws a `CommandFailure` for a file that is no registration. */
export async function listAppservices(paths: readonly string[]): Promise<ListedAppservice[]> {
  const { config } = await loadConfig(paths)
  return withDatabase(paths, async (db) => {
    const store = new AppservicesStore()
    const letters = await store.listDeadLetters(db.reader)
    const listed: ListedAppservice[] = []
    for (const { registration, source } of await listKnown(config, db)) {
      const state = await store.getState(db.reader, registration.id)
      const deadLetters = letters.filter(({ appserviceId }) => appserviceId === registration.id).length
      listed.push(describe(registration, { source, state, deadLetters }))
    }
    return listed
  })
}

/** Reads and reviews a file. Throws a `CommandFailure` for what is no registration. */
export async function checkRegistration(
  file: string,
  serverName: ServerName,
): Promise<RegistrationReport & { readonly registration: AppserviceRegistration }> {
  const registration = await expected(() => readRegistrationFile(file, serverName))
  return { id: registration.id, remarks: reviewRegistration(registration), registration }
}

/** Writes a registration into the database, or changes the one with its id. Throws a `CommandFailure` for clashes. */
export async function addAppservice(
  paths: readonly string[],
  file: string,
): Promise<RegistrationReport & { readonly isRunning: boolean }> {
  const { config } = await loadConfig(paths)
  const { id, remarks, registration } = await checkRegistration(file, config.server.serverName)
  await withDatabase(paths, async (db) => {
    const known = await listKnown(config, db)
    const others = known.filter(({ registration: other, source }) => other.id !== id || source === 'file')
    const clash = clashOf(
      registration,
      others.map((other) => other.registration),
    )
    if (clash !== undefined) throw new CommandFailure(`${file}: ${clash}`)
    await db.write('add_appservice', (tx) =>
      new AppservicesStore().putRegistration(tx, id, registrationJson(registration), systemClock.now()),
    )
  })
  return { id, remarks, isRunning: tellServer(config) }
}

/** Removes a registration from the database. Throws a `CommandFailure` for one that is not there. */
export async function removeAppservice(
  paths: readonly string[],
  id: string,
): Promise<{ isRunning: boolean }> {
  const { config } = await loadConfig(paths)
  const isDeleted = await withDatabase(paths, (db) =>
    db.write('remove_appservice', (tx) => new AppservicesStore().deleteRegistration(tx, id)),
  )
  if (!isDeleted) {
    throw new CommandFailure(
      `No application service with the id ${id} was added: those of app_service_config_files are removed there`,
    )
  }
  return { isRunning: tellServer(config) }
}

/** Asks a service whether it is there, as the server would. Rejects with why it is not. */
export async function pingAppservice(paths: readonly string[], id: string): Promise<{ durationMs: number }> {
  const { config } = await loadConfig(paths)
  const known = await withDatabase(paths, (db) => listKnown(config, db))
  const registration = known.find((candidate) => candidate.registration.id === id)?.registration
  if (registration === undefined)
    throw new CommandFailure(`There is no application service with the id ${id}`)
  if (registration.url === undefined) throw new CommandFailure(`The application service ${id} has no url`)
  const [{ AppserviceClient }, { createOutboundHttp }, { programVersion }, dns] = await Promise.all([
    import('../net/clients/appservice-client.js'),
    import('../server/outbound-http.js'),
    import('../server/program-version.js'),
    import('../net/dns.js'),
  ])
  const network = { dns: dns.createSystemDns(), authorities: undefined }
  const http = createOutboundHttp({ config, network, clock: systemClock, version: programVersion() })
  const client = new AppserviceClient(http.toOwn, {
    sendsTokenInQuery: config.appservices.sendsTokenInQuery,
  })
  const started = performance.now()
  try {
    await client.ping(registration, undefined)
  } catch (error) {
    throw new CommandFailure(`${id}: ${(error as Error).message}`, { cause: error })
  } finally {
    await http.close()
  }
  return { durationMs: Math.round(performance.now() - started) }
}

/** Transactions that services have refused for good, with their contents. */
export async function listDeadLetters(paths: readonly string[], id?: string): Promise<DeadLetter[]> {
  return withDatabase(paths, (db) => new AppservicesStore().listDeadLetters(db.reader, id))
}

async function listKnown(config: HomeserverConfig, db: Database): Promise<Known[]> {
  const { serverName } = config.server
  const files = await expected(() => readRegistrationFiles(config.appservices.files, serverName))
  const added = await new AppservicesStore().listRegistrations(db.reader)
  return [
    ...files.map((registration) => ({ registration, source: 'file' as const })),
    ...added.flatMap((json) => {
      const parsed = parseRegistration(json, serverName)
      return 'problems' in parsed ? [] : [{ registration: parsed.registration, source: 'database' as const }]
    }),
  ]
}

function describe(
  { id, url, senderId }: AppserviceRegistration,
  given: { source: Known['source']; state: AppserviceState | undefined; deadLetters: number },
): ListedAppservice {
  const { source, state, deadLetters } = given
  const failures = state?.failures ?? 0
  const health = url === undefined ? 'no url' : state === undefined ? 'new' : failures > 0 ? 'failing' : 'up'
  return {
    id,
    url: url ?? null,
    sender: senderId,
    source,
    state: health,
    failures,
    failingSinceTs: state?.failingSinceTs ?? null,
    lastSuccessTs: state?.lastSuccessTs ?? null,
    lastError: state?.lastError ?? null,
    deadLetters,
  }
}

/** Makes a server that runs read its registrations again; false where none is known to run. */
function tellServer({ server: { pidFile } }: HomeserverConfig): boolean {
  if (pidFile === undefined) return false
  try {
    process.kill(Number(readFileSync(pidFile, 'utf8').trim()), 'SIGHUP')
    return true
  } catch {
    return false
  }
}

async function expected<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'RegistrationFileError') throw error
    throw new CommandFailure(error.message, { cause: error })
  }
}
