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
import { BenchClient } from './client.js'
import { measureCreateRoom, measureLargeRoom, measureLogin } from './scenarios/accounts-and-rooms.js'
import { measureSending } from './scenarios/sending.js'
import { measureSlidingSync } from './scenarios/sliding-sync.js'
import { measureInitialSync, measureWakeUp } from './scenarios/syncing.js'
import { startPostgres } from './postgres.js'
import { SHARED_SECRET, ServerProcess, sqliteDatabase } from '../test/support/server-process.js'

const USAGE = `usage: npm run bench -- [options]
  --database sqlite|postgres|both|none  what to start mxhs on (default: both)
  --url URL                         a server that runs already: measured too, after those started here
  --shared-secret SECRET            its registration_shared_secret
  --messages N                      messages per sending scenario (default: 4000)
  --members N                       members of the large room (default: 10000)
  --rooms N                         rooms of the account that syncs (default: 500)
  --only NAME                       sending, waking, accounts, large-room, initial-sync or sliding-sync
                                    (may repeat); port-db runs when it is named alone
  --events N                        events of the database that port-db carries (default: 100000)
  --json FILE                       where to write the figures (default: bench/results/latest.json)
`

interface Load {
  readonly messages: number
  readonly members: number
  readonly rooms: number
  readonly only: ReadonlySet<string>
}

type Figures = Record<string, number>

const SENDING = [
  { senders: 1, rooms: 1 },
  { senders: 10, rooms: 1 },
  { senders: 10, rooms: 10 },
  { senders: 20, rooms: 20 },
  { senders: 50, rooms: 50 },
]

const { values: options } = parseArgs({
  options: {
    database: { type: 'string', default: 'both' },
    url: { type: 'string' },
    'shared-secret': { type: 'string' },
    messages: { type: 'string', default: '4000' },
    members: { type: 'string', default: '10000' },
    rooms: { type: 'string', default: '500' },
    events: { type: 'string', default: '100000' },
    only: { type: 'string', multiple: true },
    json: { type: 'string', default: 'bench/results/latest.json' },
    help: { type: 'boolean', default: false },
  },
})

if (options.help) {
  process.stdout.write(USAGE)
} else if (options.only?.join() === 'port-db') {
  await mainOfPortDb()
} else {
  await main()
}

async function main(): Promise<void> {
  const load: Load = {
    messages: Number(options.messages),
    members: Number(options.members),
    rooms: Number(options.rooms),
    only: new Set(options.only ?? []),
  }
  progress('bare node:http')
  const bareHttp = await measureBareHttp({ senders: 20, messages: 20_000 })
  const results: Record<string, Figures> = {}
  if (options.database === 'sqlite' || options.database === 'both') {
    results['mxhs on SQLite'] = await measureStarted(sqliteDatabase(), { load, bareHttp })
  }
  if (options.database === 'postgres' || options.database === 'both') {
    await using postgres = await startPostgres()
    results['mxhs on PostgreSQL'] = await measureStarted(postgres.database, { load, bareHttp })
  }
  if (options.url) {
    const client = new BenchClient(options.url, {
      sharedSecret: options['shared-secret'] ?? SHARED_SECRET,
      connections: 128,
    })
    results[options.url] = await measure(client, { load, bareHttp })
    await client.close()
  }
  process.stdout.write(`bare node:http, 20 connections: ${round(bareHttp)} requests/s\n`)
  printTable(results)
  await writeResults({ bareHttp, results })
}

async function writeResults(results: object): Promise<void> {
  await mkdir(dirname(options.json), { recursive: true })
  const all = { cpus: cpus().length, node: process.version, ...results }
  await writeFile(options.json, `${JSON.stringify(all, null, 2)}\n`)
}

async function mainOfPortDb(): Promise<void> {
  const { measurePortDb } = await import('./scenarios/port-database.js')
  const events = Number(options.events)
  const results = { [`port-db, ${events} events`]: await measurePortDb({ events }, progress) }
  printTable(results)
  await writeResults({ results })
}

async function measureStarted(database: object, how: { load: Load; bareHttp: number }): Promise<Figures> {
  await using server = await ServerProcess.start({ database })
  const idle = await server.residentMb()
  const client = new BenchClient(server.url, { sharedSecret: SHARED_SECRET, connections: 128 })
  const figures = await measure(client, how)
  await client.close()
  return {
    'start to first answer, ms': server.startMs,
    'memory idle, MB': idle,
    ...figures,
    'memory after, MB': await server.residentMb(),
  }
}

async function measure(
  client: BenchClient,
  { load, bareHttp }: { load: Load; bareHttp: number },
): Promise<Figures> {
  const figures: Figures = {}
  const wanted = (name: string): boolean => {
    const runs = load.only.size === 0 || load.only.has(name)
    if (runs) progress(name)
    return runs
  }
  // Names of users must be new on servers that have run this before.
  const run = Date.now().toString(36)
  if (wanted('sending')) {
    for (const { senders, rooms } of SENDING) {
      const messages = senders === 1 ? load.messages / 4 : load.messages
      const name = `${run}s${senders}r${rooms}u`
      const result = await measureSending(client, { senders, rooms, messages, name })
      const title = `${senders} ${senders === 1 ? 'sender' : 'senders'}, ${rooms} ${rooms === 1 ? 'room' : 'rooms'}`
      figures[`${title}: messages/s`] = result.perSecond
      figures[`${title}: p50, ms`] = result.p50
      figures[`${title}: p99, ms`] = result.p99
      if (senders === 20) figures[`${title}: share of bare node:http`] = result.perSecond / bareHttp
    }
  }
  if (wanted('waking')) {
    const quiet = await measureWakeUp(client, { messages: 200, senders: 0, name: `${run}w` })
    figures['sync woken after the send, quiet: p50, ms'] = quiet.p50
    figures['sync woken after the send, quiet: p99, ms'] = quiet.p99
    const busy = await measureWakeUp(client, { messages: 200, senders: 10, name: `${run}b` })
    figures['sync woken after the send, 10 senders: p50, ms'] = busy.p50
    figures['sync woken after the send, 10 senders: p99, ms'] = busy.p99
  }
  if (wanted('accounts')) {
    const login = await measureLogin(client, { count: 100, name: `${run}l` })
    figures['login: p50, ms'] = login.p50
    const createRoom = await measureCreateRoom(client, { count: 100, name: `${run}c` })
    figures['createRoom: p50, ms'] = createRoom.p50
    figures['createRoom: p99, ms'] = createRoom.p99
  }
  if (wanted('large-room')) {
    const large = await measureLargeRoom(client, { members: load.members, joins: 50, name: `${run}g` })
    figures[`room of ${large.members}: registered and joined, per s`] = large.fillPerSecond
    figures[`room of ${large.members}: join p50, ms`] = large.join.p50
    figures[`room of ${large.members}: initial sync, ms`] = large.initialSyncMs
  }
  if (wanted('initial-sync')) {
    const sync = await measureInitialSync(client, { rooms: load.rooms, name: `${run}i` })
    figures[`initial sync of ${sync.rooms} rooms: first, ms`] = sync.firstMs
    figures[`initial sync of ${sync.rooms} rooms: p50, ms`] = sync.p50
  }
  if (wanted('sliding-sync')) {
    Object.assign(figures, await slidingSyncFigures(client, { rooms: load.rooms * 2, name: `${run}x` }))
  }
  return figures
}

async function slidingSyncFigures(
  client: BenchClient,
  load: { rooms: number; name: string },
): Promise<Figures> {
  const { firstMs, p50, p99, allMs } = await measureSlidingSync(client, { ...load, rounds: 20 })
  const title = `sliding sync, first window of ${load.rooms} rooms`
  return {
    [`${title}: first, ms`]: firstMs,
    [`${title}: p50, ms`]: p50,
    [`${title}: p99, ms`]: p99,
    [`sliding sync, all of ${load.rooms} rooms after it, ms`]: allMs,
  }
}

function printTable(results: Readonly<Record<string, Figures>>): void {
  const names = Object.keys(results)
  const table = new Table({ head: ['', ...names], style: { head: [], border: [] } })
  const rows = [...new Set(names.flatMap((name) => Object.keys(results[name]!)))]
  for (const row of rows) {
    table.push([row, ...names.map((name) => round(results[name]![row]))])
  }
  process.stdout.write(`${table.toString()}\n`)
}

function round(value: number | undefined): string {
  if (value === undefined) return ''
  return value >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : 2)
}

function progress(name: string): void {
  process.stderr.write(`measuring ${name}\n`)
}
