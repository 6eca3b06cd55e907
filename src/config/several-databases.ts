import { isJsonObject, type JsonValue } from '../util/json.js'
import type { ConfigFiles } from './config-files.js'
import type { Findings } from './findings.js'

/** What a server keeps, by the names that `data_stores` has for it. */
type DataStore = 'main' | 'state'

const DATA_STORES: readonly DataStore[] = ['main', 'state']

/** Which of `databases` hold what; the same name twice where one holds all. */
export type DatabaseNames = Readonly<Record<DataStore, string>>

/**
 * Reads `databases`, which names several databases and what each holds. Undefined where there is no such key, where it is
 * not right, or where `database` counts more; findings say so.
 */
export function namesOfDatabases(files: ConfigFiles, findings: Findings): DatabaseNames | undefined {
  const path = ['databases']
  const { databases, database } = files.values
  if (databases === undefined || databases === null) return undefined
  if (database !== undefined && database !== null) {
    findings.add('warning', files.locateKey(path), { path, message: 'has no effect beside database' })
    return undefined
  }
  const fail = (message: string): void => {
    findings.add('error', files.locateKey(path), { path, message })
  }
  if (!isJsonObject(databases)) {
    fail('expected a map of databases')
    return undefined
  }
  const names: Partial<Record<DataStore, string>> = {}
  for (const store of DATA_STORES) {
    const holders = Object.keys(databases).filter((name) => storesOf(databases[name]).includes(store))
    if (holders.length === 1) names[store] = holders[0]!
    else fail(`expected one database with ${store} among its data_stores, got ${holders.length}`)
  }
  const { main, state } = names
  return main === undefined || state === undefined ? undefined : { main, state }
}

/** A database that does not say what it holds has everything. */
function storesOf(database: JsonValue | undefined): readonly JsonValue[] {
  if (!isJsonObject(database)) return []
  const { data_stores: stores } = database
  return Array.isArray(stores) ? stores : DATA_STORES
}
