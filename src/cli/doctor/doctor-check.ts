import type { ConfigNotice } from '../../config/config-error.js'
import type { HomeserverConfig } from '../../config/homeserver-config.js'
import type { TlsSettings } from '../../net/dialer.js'
import type { HttpClient } from '../../net/http-client.js'
import type { ServerName } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { Clock } from '../../util/clock.js'
import type { FederationNetwork } from '../federation-network.js'
import type { Finding } from './finding.js'

/** What checks look at. */
export interface DoctorContext {
  readonly config: HomeserverConfig
  /** What there is to say of the configuration, which can be used. */
  readonly warnings: readonly ConfigNotice[]
  /** The files of the configuration. */
  readonly files: readonly string[]
  /** As in `mxhs 1.2.3`. */
  readonly version: string
  readonly clock: Clock
  /** The way to other servers, as the server goes it. */
  readonly network: FederationNetwork
  /** The way to what belongs to the operator, wherever that is. */
  readonly http: HttpClient
  /** How others than homeservers have to prove who they are. */
  readonly tls: TlsSettings
  /**
   * Opened when it is first asked for, and not changed; undefined where there is none yet, or nothing in it. Rejects where
   * it cannot be opened.
   */
  readonly database: () => Promise<Database | undefined>
  /** Another server to try. */
  readonly server: ServerName | undefined
}

/** One subject to look at. */
export interface DoctorCheck {
  /** As `--only` and `--skip` have it. */
  readonly name: string
  /** What it is about, for the help. */
  readonly summary: string
  /** Whether it asks anything over the network, beyond the database: left out with `--offline`. */
  readonly usesNetwork: boolean
  run(context: DoctorContext): Promise<readonly Finding[]>
}
