import type { Database } from '../../storage/database.js'
import { TakeoverCleaner } from '../../storage/stores/takeover-cleaner.js'
import type { SynapseSource } from '../../storage/synapse/source.js'
import type { ProgressSink } from '../../util/progress-sink.js'
import { ADMINISTRATION_COPIES } from './copies/administration.js'
import { ACCOUNT_COPIES } from './copies/accounts.js'
import { APPSERVICES_COPY } from './copies/appservices.js'
import { encryptionCopies } from './copies/encryption.js'
import { MEDIA_COPIES } from './copies/media.js'
import { PUSH_RULES_COPY } from './copies/push-rules.js'
import { markRedacted, REDACTIONS_COPY } from './copies/redactions.js'
import { ACCOUNT_DATA_COPIES, ROOM_DATA_COPIES, tagsCopy } from './copies/room-data.js'
import { serverCopies } from './copies/servers.js'
import { SESSION_COPIES } from './copies/sessions.js'
import { asRowsCopy, copyRows, type CopyFacts, type RowsCopy } from './table-copy.js'

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

/** Everything but rooms with their events and states, in the order in which it is copied. */
export function smallTables(source: SynapseSource, serverName: string): readonly RowsCopy[] {
  const tables = [
    ...ACCOUNT_COPIES,
    ...ADMINISTRATION_COPIES,
    ...SESSION_COPIES,
    ...encryptionCopies(serverName),
    ...ACCOUNT_DATA_COPIES,
    tagsCopy(source.q.dialect.name),
    ...ROOM_DATA_COPIES,
    ...MEDIA_COPIES,
    ...serverCopies(serverName),
  ]
  return [...tables.map(asRowsCopy), PUSH_RULES_COPY, REDACTIONS_COPY, APPSERVICES_COPY]
}

/** Copies everything but rooms, as it is now: what was copied before is replaced. */
export async function copySmallTables(
  { db, source, progress }: SmallTablesParts,
  facts: CopyFacts,
): Promise<TableReport[]> {
  const copies = smallTables(source, facts.serverName)
  const tables = new Set(copies.map(({ into }) => into))
  await db.write('takeover_empty', (tx) =>
    new TakeoverCleaner().emptyTables(tx, [...tables, 'profile_changes']),
  )
  let total = 0
  for (const copy of copies) total += await copy.count(source)
  progress.start('users and all else', total, 'rows')
  const onRows = (n: number): void => progress.advance(n)
  const reports: TableReport[] = []
  for (const copy of copies) {
    const count = await db.write('takeover_table', (tx) => copyRows(tx, source, { copy, facts, onRows }))
    reports.push({ what: copy.what, ...count })
  }
  await db.write('takeover_redacted', markRedacted)
  progress.finish()
  return reports
}
