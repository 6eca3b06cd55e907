/**
 * The load generator: `npm run bench -- --help`. Starts mxhs on SQLite and on PostgreSQL, or asks the server at a URL,
 * and prints what it measured.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { dirname } from 'node:path'
import { parseArgs } from 'node:util'
import Table from 'cli-table3'
import { measureBareHttp } from './baseline.js'
import { Bench, type Figures, type ServerView, type Sizes } from './bench.js'
import { BenchClient } from './client.js'
import { startPostgres, type BenchPostgres } from './postgres.js'
import { scenarios } from './scenarios.js'
import { findSynapse } from '../test/interop/synapse-process.js'
import { SHARED_SECRET, ServerProcess, sqliteDatabase } from '../test/support/server-process.js'

/** Scenarios without a server. */
const PORT_DB = 'port-db'
const SYNAPSE_PORT = 'synapse-port'

const USAGE = `usage: npm run bench -- [options]
  --database sqlite|postgres|both|none  what to start mxhs on (default: both)
  --url URL             a server that runs already: measured too, after those started here
  --shared-secret SECRET  its registration_shared_secret
  --metrics-url URL     its metrics, of which database reads are counted (default: /_synapse/metrics below its URL)
  --client-cost US      microseconds that the load generator computes before each request: the share of bare node:http
                        grows with it, and compares only with shares taken at about the same rate of bare node:http
                        (default: 0)
  --only NAME           one of the scenarios below (may repeat; default: all)
  --json FILE           where to write the figures (default: bench/results/latest.json)

Sizes of what is made before it is measured:
  --messages N          messages of each sending scenario (default: 4000)
  --members N           members of the large rooms: of large-room, push, federation-joins (default: 10000)
  --rooms N             rooms of the account of initial-sync; of sliding-sync twice as many (default: 500)
  --searched-rooms N    rooms of search, with 20 messages each (default: 100)
  --space-rooms N       rooms of hierarchy (default: 300)
  --history N           messages of deep-messages (default: 20000)
  --devices N           devices of to-device (default: 1000)
  --pushers N           members with rules and pushers of push (default: 300)
  --uploads N           parallel uploads of media (default: 100)
  --upload-mb N         size of each (default: 50)
  --remote-events N     events of the room that federation-joins joins, with --members members (default: 30000)
  --transactions N      transactions of federation-inbound (default: 1000)
  --origins N           servers that send them (default: 100)
  --events N            events of the database of port-db (default: 100000)
  --kills N             processes of port-db that are killed, each way (default: 0)
  --rounds N            how often synapse-port moves its database in each way (default: 1)

Scenarios: ${Object.keys(scenarios).join(', ')}
Without a server, and only when one is named alone:
  ${PORT_DB}       carries a database from SQLite to PostgreSQL and back
  ${SYNAPSE_PORT}  makes a Synapse with --events events, imports it, and compares port-db with Synapse's own script; needs
                MXHS_INTEROP_SYNAPSE, the Python that can import \`synapse\`

media compares downloads with nginx: the program that MXHS_BENCH_NGINX names, else the one on the PATH.
`

const size = (value: string) => ({ type: 'string', default: value }) as const

const { values: options } = parseArgs({
  options: {
    database: { type: 'string', default: 'both' },
    url: { type: 'string' },
    'shared-secret': { type: 'string', default: SHARED_SECRET },
    'metrics-url': { type: 'string' },
    'client-cost': size('0'),
    messages: size('4000'),
    members: size('10000'),
    rooms: size('500'),
    'searched-rooms': size('100'),
    'space-rooms': size('300'),
    history: size('20000'),
    devices: size('1000'),
    pushers: size('300'),
    uploads: size('100'),
    'upload-mb': size('50'),
    'remote-events': size('30000'),
    transactions: size('1000'),
    origins: size('100'),
    events: size('100000'),
    kills: size('0'),
    rounds: size('1'),
    only: { type: 'string', multiple: true, default: [] },
    json: { type: 'string', default: 'bench/results/latest.json' },
    help: { type: 'boolean', default: false },
  },
})

/** What was measured of one server, and what there is to say of it. */
interface Report {
  readonly figures: Figures
  readonly notes: readonly string[]
}

type Measure = (client: BenchClient, view: ServerView) => Promise<Report>

const clientCostUs = Number(options['client-cost'])
const notNumbers = Object.values(sizesOf(options)).some((value) => !(value >= 1)) || !(clientCostUs >= 0)
const unknown = options.only.find((name) => !(name in scenarios))
if (options.help) {
  process.stdout.write(USAGE)
} else if (options.only.join() === PORT_DB) {
  await mainOfPortDb()
} else if (options.only.join() === SYNAPSE_PORT) {
  await mainOfSynapsePort()
} else if (unknown !== undefined || notNumbers) {
  const complaint = unknown === undefined ? 'Sizes are numbers' : `There is no scenario ${unknown}`
  process.stderr.write(`${complaint}\n\n${USAGE}`)
  process.exitCode = 2
} else {
  await main()
}

async function main(): Promise<void> {
  const sizes = sizesOf(options)
  progress('bare node:http')
  const bareHttp = await measureBareHttp({ senders: 20, messages: 20_000, costUs: clientCostUs })
  const measure: Measure = (client, view) => measureServer(new Bench({ client, sizes, view, bareHttp }))
  const results: Record<string, Report> = {}
  if (options.database === 'sqlite' || options.database === 'both') {
    results['mxhs on SQLite'] = await measureStarted(
      { database: sqliteDatabase(), create: () => Promise.resolve(sqliteDatabase()) },
      measure,
    )
  }
  if (options.database === 'postgres' || options.database === 'both') {
    await using postgres = await startPostgres()
    results['mxhs on PostgreSQL'] = await measureStarted(postgres, measure)
  }
  if (options.url !== undefined) {
    const client = benchClient(options.url, options['shared-secret'])
    const metricsUrl = options['metrics-url'] ?? `${options.url}/_synapse/metrics`
    results[options.url] = await measure(client, { metrics: () => readMetrics(metricsUrl) })
    await client.close()
  }
  process.stdout.write(`bare node:http, 20 connections: ${round(bareHttp)} requests/s\n`)
  print(results)
  await writeResults({ sizes, clientCostUs, bareHttp }, results)
}

async function mainOfPortDb(): Promise<void> {
  const { measurePortDb } = await import('./scenarios/port-database.js')
  const [events, kills] = [Number(options.events), Number(options.kills)]
  const results = { [PORT_DB]: { figures: await measurePortDb({ events, kills }, progress), notes: [] } }
  print(results)
  await writeResults({ events, kills }, results)
}

async function mainOfSynapsePort(): Promise<void> {
  const found = findSynapse()
  if ('missing' in found) {
    process.stderr.write(`Not measured: ${found.missing}\n`)
    return
  }
  const { measureAgainstSynapse } = await import('./scenarios/synapse-port.js')
  const sizes = { events: Number(options.events), rounds: Number(options.rounds) }
  const notes = [`Synapse ${found.version}`]
  const results = { [SYNAPSE_PORT]: { figures: await measureAgainstSynapse(sizes, progress), notes } }
  print(results)
  await writeResults(sizes, results)
}

async function writeResults(how: object, results: Readonly<Record<string, Report>>): Promise<void> {
  const figures = Object.fromEntries(Object.entries(results).map(([name, report]) => [name, report.figures]))
  const notes = Object.fromEntries(Object.entries(results).map(([name, report]) => [name, report.notes]))
  const all = { cpus: cpus().length, node: process.version, ...how, results: figures, notes }
  await mkdir(dirname(options.json), { recursive: true })
  await writeFile(options.json, `${JSON.stringify(all, null, 2)}\n`)
}

function sizesOf(flags: typeof options): Sizes {
  return {
    messages: Number(flags.messages),
    members: Number(flags.members),
    rooms: Number(flags.rooms),
    searchedRooms: Number(flags['searched-rooms']),
    spaceRooms: Number(flags['space-rooms']),
    history: Number(flags.history),
    devices: Number(flags.devices),
    pushers: Number(flags.pushers),
    uploads: Number(flags.uploads),
    uploadMb: Number(flags['upload-mb']),
    remoteEvents: Number(flags['remote-events']),
    transactions: Number(flags.transactions),
    origins: Number(flags.origins),
  }
}

function benchClient(url: string, sharedSecret: string): BenchClient {
  return new BenchClient(url, { sharedSecret, connections: 128, costUs: clientCostUs })
}

async function measureStarted(
  { database, create }: Pick<BenchPostgres, 'database' | 'create'>,
  measure: Measure,
): Promise<Report> {
  // The push gateway of the bench is on this machine.
  const config = { ip_range_whitelist: ['127.0.0.1/32'] }
  await using server = await ServerProcess.start({ database, config })
  const residentMb = (): Promise<number> => server.residentMb()
  const idle = await residentMb()
  const client = benchClient(server.url, SHARED_SECRET)
  const metrics = (): Promise<string> => readMetrics(`${server.url}/_synapse/metrics`)
  const view = { residentMb, metrics, createDatabase: create }
  const { figures, notes } = await measure(client, view)
  await client.close()
  const started = { 'start to first answer, ms': server.startMs, 'memory idle, MB': idle }
  return { figures: { ...started, ...figures, 'memory after, MB': await residentMb() }, notes }
}

async function measureServer(bench: Bench): Promise<Report> {
  const figures: Figures = {}
  const begun = performance.now()
  for (const [name, scenario] of Object.entries(scenarios)) {
    if (options.only.length > 0 && !options.only.includes(name)) continue
    progress(`${name} (after ${((performance.now() - begun) / 1000).toFixed(0)} s)`)
    Object.assign(figures, await scenario(bench))
  }
  return { figures, notes: bench.notes }
}

/** Empty where the server does not show its metrics. */
async function readMetrics(url: string): Promise<string> {
  const response = await fetch(url)
  const text = await response.text()
  return response.ok ? text : ''
}

function print(results: Readonly<Record<string, Report>>): void {
  const names = Object.keys(results)
  const table = new Table({ head: ['', ...names], style: { head: [], border: [] } })
  const rows = [...new Set(names.flatMap((name) => Object.keys(results[name]!.figures)))]
  for (const row of rows) {
    table.push([row, ...names.map((name) => round(results[name]!.figures[row]))])
  }
  process.stdout.write(`${table.toString()}\n`)
  for (const name of names) {
    for (const note of results[name]!.notes) process.stdout.write(`${name}: ${note}\n`)
  }
}

function round(value: number | undefined): string {
  if (value === undefined) return ''
  return value >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : 2)
}

function progress(name: string): void {
  process.stderr.write(`measuring ${name}\n`)
}
