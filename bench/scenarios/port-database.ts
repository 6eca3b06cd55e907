import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { stringify } from 'yaml'
import { builtProgram } from '../../test/support/built-program.js'
import { generateDatabase } from '../generated-database.js'
import { runMeasured } from '../measured-process.js'
import { startPostgres } from '../postgres.js'

export interface PortRun {
  readonly seconds: number
  readonly rows: number
  readonly peakMb: number
  /** Of each table. */
  readonly checksums: string
}

/**
 * Carries a database with so many events from SQLite to PostgreSQL, once more without any change, and back to another
 * SQLite file, each time in a process of its own. With `kills`, as many processes are killed before, each way, at random
 * points.
 */
export async function measurePortDb(
  { events, kills }: { events: number; kills: number },
  say: (what: string) => void,
): Promise<Record<string, number>> {
  const directory = await mkdtemp(join(tmpdir(), 'mxhs-bench-port-'))
  await using postgres = await startPostgres()
  try {
    const [first, second] = [join(directory, 'first.db'), join(directory, 'second.db')]
    const config = join(directory, 'postgres.yaml')
    await writeFile(config, stringify({ database: postgres.database }))
    say(`making a database of ${events} events`)
    await generateDatabase(first, events)
    const size = (await stat(first)).size
    if (kills > 0) say(`killed ${kills} times on the way to PostgreSQL`)
    for (let kill = 0; kill < kills; kill++)
      await killPortDb(first, config, (kill + 1) * (1_000 + events / 50))
    say(`${Math.round(size / 2 ** 20)} MB; SQLite to PostgreSQL`)
    const there = await runPortDb(first, config)
    say('the same again')
    const again = await runPortDb(first, config)
    if (kills > 0) say(`killed ${kills} times on the way to SQLite`)
    for (let kill = 0; kill < kills; kill++)
      await killPortDb(config, second, (kill + 1) * (1_000 + events / 50))
    say('PostgreSQL to SQLite')
    const back = await runPortDb(config, second)
    if (there.checksums !== back.checksums) throw new Error('The rows that came back are others')
    return {
      ...figures('SQLite to PostgreSQL', there),
      ...figures('SQLite to PostgreSQL, nothing changed', again),
      ...figures('PostgreSQL to SQLite', back),
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

function figures(title: string, { seconds, rows, peakMb }: PortRun): Record<string, number> {
  return {
    [`${title}: s`]: seconds,
    [`${title}: rows/s`]: rows / seconds,
    [`${title}: peak memory, MB`]: peakMb,
  }
}

/** Starts it, and kills it within some time: one after the other comes further. */
async function killPortDb(from: string, to: string, withinMs: number): Promise<void> {
  const argv = [builtProgram(), 'port-db', '--from', from, '--to', to]
  const child = spawn(process.execPath, argv, { stdio: 'ignore' })
  const ended = once(child, 'close')
  await Promise.race([ended, sleep(500 + Math.random() * withinMs)])
  child.kill('SIGKILL')
  await ended
}

/** Runs it to its end. Rejects when the target is not complete. */
export async function runPortDb(from: string, to: string): Promise<PortRun> {
  const run = await runMeasured(process.execPath, [
    builtProgram(),
    'port-db',
    '--from',
    from,
    '--to',
    to,
    '--json',
  ])
  const report = JSON.parse(run.output) as {
    complete: boolean
    rows: number
    tables: readonly { name: string; checksum: string }[]
  }
  if (!report.complete) throw new Error(`port-db is not complete: ${run.output}`)
  const checksums = report.tables.map(({ name, checksum }) => `${name} ${checksum}`).join('\n')
  return { ...run, rows: report.rows, checksums }
}
