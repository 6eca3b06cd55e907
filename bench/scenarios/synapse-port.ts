import { cp, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { stringify } from 'yaml'
import { builtProgram } from '../../test/support/built-program.js'
import { TestAuthority } from '../../test/support/test-authority.js'
import { findSynapse, SynapseProcess } from '../../test/interop/synapse-process.js'
import { fillSynapse } from '../generated-synapse.js'
import { runMeasured } from '../measured-process.js'
import { startPostgres } from '../postgres.js'
import { runPortDb } from './port-database.js'

export interface SynapsePortSizes {
  readonly events: number
  /** How often each is measured, one after the other. */
  readonly rounds: number
}

interface Moved {
  readonly seconds: number
  readonly peakMb: number
  readonly rows: number
}

/**
 * Makes the SQLite database of a real Synapse with so many events and moves the server in it to PostgreSQL in both ways:
 * by Synapse's own script, and, after `mxhs import synapse`, by `mxhs port-db`; by turns, so that what else the machine
 * does is the same for both. Throws where there is no Synapse.
 */
export async function measureAgainstSynapse(
  { events, rounds }: SynapsePortSizes,
  say: (what: string) => void,
): Promise<Record<string, number>> {
  const directory = await mkdtemp(join(tmpdir(), 'mxhs-bench-synapse-'))
  await using postgres = await startPostgres()
  try {
    say(`making a Synapse with ${events} events`)
    const place = await makeSynapse(directory, events)
    const size = (await stat(place.database)).size
    say(`${Math.round(size / 2 ** 20)} MB; importing it`)
    const imported = await importSynapse(place)
    const [theirs, ours]: [Moved[], Moved[]] = [[], []]
    for (let round = 1; round <= rounds; round++) {
      say(`round ${round} of ${rounds}: synapse_port_db`)
      theirs.push(await runSynapsePort(place, await postgres.create()))
      say(`round ${round} of ${rounds}: mxhs port-db`)
      const target = join(directory, `target-${round}.yaml`)
      await writeFile(target, stringify({ database: await postgres.create() }))
      ours.push(await runPortDb(imported.database, target))
    }
    return {
      'import synapse: s': imported.seconds,
      'import synapse: events/s': events / imported.seconds,
      'import synapse: peak memory, MB': imported.peakMb,
      ...figures('synapse_port_db', theirs, events),
      ...figures('port-db', ours, events),
      'port-db by synapse_port_db, rows/s': ratio(ours, theirs, ({ rows, seconds }) => rows / seconds),
      'port-db by synapse_port_db, the same server': ratio(theirs, ours, ({ seconds }) => seconds),
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

function figures(title: string, runs: readonly Moved[], events: number): Record<string, number> {
  return {
    [`${title}: rows`]: runs[0]?.rows ?? 0,
    [`${title}: s`]: mean(runs, ({ seconds }) => seconds),
    [`${title}: rows/s`]: mean(runs, ({ rows, seconds }) => rows / seconds),
    [`${title}: events/s`]: mean(runs, ({ seconds }) => events / seconds),
    [`${title}: peak memory, MB`]: Math.max(...runs.map(({ peakMb }) => peakMb)),
  }
}

function mean(runs: readonly Moved[], of: (run: Moved) => number): number {
  return runs.reduce((sum, run) => sum + of(run), 0) / runs.length
}

function ratio(above: readonly Moved[], below: readonly Moved[], of: (run: Moved) => number): number {
  return mean(above, of) / mean(below, of)
}

interface SynapsePlace {
  readonly directory: string
  readonly python: string
  readonly database: string
  /** Of the Synapse. */
  readonly config: Record<string, unknown>
}

/** The files of a real Synapse that has stopped, its database filled. */
async function makeSynapse(directory: string, events: number): Promise<SynapsePlace> {
  const found = findSynapse()
  if ('missing' in found) throw new Error(found.missing)
  const python = process.env['MXHS_INTEROP_SYNAPSE']!
  const home = join(directory, 'synapse')
  await using synapse = await SynapseProcess.start(new TestAuthority())
  await synapse.pause()
  await cp(synapse.directory, home, { recursive: true })
  const text = (await readFile(join(home, 'homeserver.yaml'), 'utf8')).replaceAll(synapse.directory, home)
  await writeFile(join(home, 'homeserver.yaml'), text)
  const config = JSON.parse(text) as SynapsePlace['config']
  const place = { directory: home, python, database: join(home, 'synapse.db'), config }
  // What a Synapse does by the way in its first minutes, and again for what it finds: its script wants it done.
  await finishUpdates(place)
  await fillSynapse({ path: place.database, serverName: synapse.serverName }, events)
  await finishUpdates(place)
  return place
}

async function finishUpdates({ python, directory }: SynapsePlace): Promise<void> {
  const script = ['-m', 'synapse._scripts.update_synapse_database', '--run-background-updates']
  await runMeasured(python, [...script, '--database-config', join(directory, 'homeserver.yaml')], {
    quiet: true,
    cwd: directory,
  })
}

async function importSynapse({ directory, config }: SynapsePlace): Promise<Moved & { database: string }> {
  const database = join(directory, 'mxhs.db')
  const own = join(directory, 'mxhs.yaml')
  await mkdir(join(directory, 'mxhs-media'))
  const { server_name, signing_key_path, macaroon_secret_key } = config
  const text = stringify({
    server_name,
    signing_key_path,
    macaroon_secret_key,
    report_stats: false,
    media_store_path: join(directory, 'mxhs-media'),
    database: { name: 'sqlite3', args: { database } },
  })
  await writeFile(own, text)
  const command = ['import', 'synapse', '--from', join(directory, 'homeserver.yaml'), '-c', own, '--json']
  const run = await runMeasured(process.execPath, [builtProgram(), ...command])
  const { outcome } = JSON.parse(run.output) as { outcome: string }
  if (outcome !== 'finished') throw new Error(`The import is ${outcome}: ${run.output}`)
  return { ...run, rows: 0, database }
}

async function runSynapsePort(
  { directory, python, config, database }: SynapsePlace,
  target: object,
): Promise<Moved> {
  const ported = join(directory, 'postgres.yaml')
  await writeFile(ported, JSON.stringify({ ...config, databases: undefined, database: target }))
  const script = ['-m', 'synapse._scripts.synapse_port_db', '--sqlite-database', database]
  const run = await runMeasured(python, [...script, '--postgres-config', ported], {
    quiet: true,
    cwd: directory,
  })
  return { ...run, rows: await countRows(target as { args: pg.ClientConfig & { dbname: string } }) }
}

/** Of all tables. */
async function countRows({ args }: { args: pg.ClientConfig & { dbname: string } }): Promise<number> {
  const { host, user, dbname } = args
  const client = new pg.Client({ ...(host && { host }), ...(user && { user }), database: dbname })
  await client.connect()
  try {
    const { rows } = await client.query<{ name: string }>(
      "SELECT quote_ident(tablename) AS name FROM pg_tables WHERE schemaname = 'public'",
    )
    const counts = rows.map(({ name }) => `(SELECT COUNT(*) FROM ${name})`).join(' + ')
    const { rows: sums } = await client.query<{ n: string }>(`SELECT ${counts} AS n`)
    return Number(sums[0]?.n)
  } finally {
    await client.end()
  }
}
