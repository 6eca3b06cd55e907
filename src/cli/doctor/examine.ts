import { existsSync } from 'node:fs'
import { rootCertificates } from 'node:tls'
import { loadAuthorities } from '../../config/authority-files.js'
import { ConfigError, formatNotice } from '../../config/config-error.js'
import { configFilesAt } from '../../config/config-files.js'
import type { HomeserverConfig } from '../../config/homeserver-config.js'
import { HttpClient } from '../../net/http-client.js'
import { IpPolicy } from '../../net/ip-policy.js'
import type { ServerName } from '../../protocol/ids.js'
import { programVersion } from '../../server/program-version.js'
import { userAgentOf } from '../../server/wire-remote.js'
import { migrationStatus } from '../../storage/migrator.js'
import type { Database } from '../../storage/database.js'
import { systemClock, type Clock } from '../../util/clock.js'
import { readCheckedConfig, type CheckedConfig } from '../check-config.js'
import { withFederationNetwork } from '../federation-network.js'
import { openDatabaseOf } from '../with-database.js'
import type { DoctorCheck, DoctorContext } from './doctor-check.js'
import { worstOf, type Level } from './finding.js'
import { runChecks, type CheckResult } from './run-checks.js'

export interface ExamineOptions {
  readonly paths: readonly string[]
  /** Those that are to run. */
  readonly checks: readonly DoctorCheck[]
  /** Another server to try. */
  readonly server: ServerName | undefined
  readonly fixes: boolean
  readonly timeoutMs: number
  readonly clock?: Clock
  /** Called in the order of the checks. */
  readonly onResult?: (result: CheckResult) => void
}

/** What `mxhs doctor` has found. */
export interface DoctorReport {
  /** Null where the configuration cannot be read. */
  readonly serverName: string | null
  /** The worst of all findings. */
  readonly level: Level
  readonly results: readonly CheckResult[]
}

/** Looks at a server from all sides. A configuration that cannot be used is all that is then found. */
export async function examine(options: ExamineOptions): Promise<DoctorReport> {
  let checked: CheckedConfig
  try {
    checked = await readCheckedConfig(options.paths)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const result = unusable(error)
    options.onResult?.(result)
    return { serverName: null, level: 'error', results: [result] }
  }
  const { config } = checked
  const clock = options.clock ?? systemClock
  const results = await withContext(checked, { ...options, clock }, (context) =>
    runChecks(options.checks, context, options),
  )
  const level = worstOf(results.flatMap(({ findings }) => findings.map((finding) => finding.level)))
  return { serverName: config.server.serverName, level, results }
}

function unusable({ issues }: ConfigError): CheckResult {
  const findings = issues.map((issue) => ({
    level: 'error' as const,
    summary: formatNotice(issue),
    consequence: 'the server does not start, and nothing else can be looked at',
    cure:
      issue.location === undefined
        ? 'mxhs check-config'
        : `edit line ${issue.location.line} of ${issue.location.file}`,
  }))
  return { check: 'configuration', findings }
}

async function withContext<T>(
  { config, warnings }: CheckedConfig,
  { paths, server, clock }: ExamineOptions & { readonly clock: Clock },
  work: (context: DoctorContext) => Promise<T>,
): Promise<T> {
  const files = (await Promise.all(paths.map(configFilesAt))).flat()
  const version = programVersion()
  const tls = await tlsOf(config)
  let opened: Promise<OpenedDatabase | undefined> | undefined
  try {
    return await withFederationNetwork(config, async (network) => {
      const http = new HttpClient({
        ...{ clock, tls, dns: network.dialing.dns, userAgent: userAgentOf(version, config) },
        // What belongs to the operator may be within their own network.
        policy: new IpPolicy({ deniedRanges: [], allowedRanges: [] }),
      })
      const database = async (): Promise<Database | undefined> => {
        const found = await (opened ??= openExisting(config))
        return found?.isEmpty === false ? found.db : undefined
      }
      try {
        return await work({ config, warnings, files, version, clock, network, http, tls, database, server })
      } finally {
        await http.close()
      }
    })
  } finally {
    // A check that took too long may still use it: its failure is nobody's any more.
    await opened?.then((found) => found?.db.close()).catch(() => undefined)
  }
}

interface OpenedDatabase {
  readonly db: Database
  readonly isEmpty: boolean
}

/** Undefined where there is none: a file is not made only to be looked at. */
async function openExisting({ database }: HomeserverConfig): Promise<OpenedDatabase | undefined> {
  if (database.name === 'sqlite' && !existsSync(database.path)) return undefined
  const db = await openDatabaseOf(database)
  try {
    return { db, isEmpty: (await migrationStatus(db)).schemaVersion === undefined }
  } catch (error) {
    await db.close()
    throw error
  }
}

/** What clients trust, and beside that what this server is told to. */
async function tlsOf({ federation }: HomeserverConfig): Promise<DoctorContext['tls']> {
  const { authorityPaths } = federation
  if (authorityPaths === undefined) return { verify: true }
  return { verify: true, authorities: [...rootCertificates, ...(await loadAuthorities(authorityPaths))] }
}
