import type { Database, Tx } from '../../storage/database.js'
import { TakeoverCleaner } from '../../storage/stores/takeover-cleaner.js'
import { countRows } from '../../storage/synapse/rows.js'
import type { SynapseSource } from '../../storage/synapse/source.js'
import type { ProgressSink } from '../../util/progress-sink.js'
import { ACCOUNT_COPIES } from './copies/accounts.js'
import { copyAppservices } from './copies/appservices.js'
import { encryptionCopies } from './copies/encryption.js'
import { MEDIA_COPIES } from './copies/media.js'
import { copyPushRules } from './copies/push-rules.js'
import { copyRedactions } from './copies/redactions.js'
import { ACCOUNT_DATA_COPIES, ROOM_DATA_COPIES, tagsCopy } from './copies/room-data.js'
import { serverCopies } from './copies/servers.js'
import { SESSION_COPIES } from './copies/sessions.js'
import { copyTable, type CopyFacts, type TableCopy } from './table-copy.js'

/** How many rows of a kind there were at the source, and how many came over. */
export interface TableReport {
  readonly what: string
  readonly read: number
  readonly written: number
}

export interface SmallTablesParts {
  readonly db: Database
  readonly source: SynapseSource
  readonly progress: ProgressSink
}

/** Everything that is copied row by row, in this order. */
export function tableCopies(source: SynapseSource, serverName: string): readonly TableCopy[] {
  return [
    ...ACCOUNT_COPIES,
    ...SESSION_COPIES,
    ...encryptionCopies(serverName),
    ...ACCOUNT_DATA_COPIES,
    tagsCopy(source.q.dialect.name),
    ...ROOM_DATA_COPIES,
    ...MEDIA_COPIES,
    ...serverCopies(serverName),
  ]
}

/** Copies everything but rooms, as it is now: what was copied before is replaced. */
export async function copySmallTables(
  { db, source, progress }: SmallTablesParts,
  facts: CopyFacts,
): Promise<TableReport[]> {
  const copies = tableCopies(source, facts.serverName)
  const cleaner = new TakeoverCleaner()
  const tables = new Set(copies.map(({ into }) => into))
  await db.write('takeover_empty', (tx) =>
    cleaner.emptyTables(tx, [...tables, 'push_rules', 'redactions', 'appservice_state', 'profile_changes']),
  )
  const reports: TableReport[] = []
  let total = 0
  for (const { from } of copies) total += await countRows(source, from)
  progress.start('users and all else', total, 'rows')
  const onRows = (n: number): void => progress.advance(n)
  for (const copy of copies) {
    const count = await db.write('takeover_table', (tx) => copyTable(tx, source, { copy, facts, onRows }))
    reports.push({ what: copy.what, ...count })
  }
  const whole = async (what: string, work: (tx: Tx) => Promise<number>): Promise<void> => {
    const count = await db.write('takeover_table', work)
    reports.push({ what, read: count, written: count })
  }
  await whole('push rules', (tx) => copyPushRules(tx, source))
  await whole('redactions', (tx) => copyRedactions(tx, source))
  await whole('application services', (tx) => copyAppservices(tx, source, facts))
  progress.finish()
  return reports
}
