import type { HomeserverConfig } from '../config/homeserver-config.js'
import { loadSigningKeys } from '../config/signing-key-file.js'

/** What stands in the way of a takeover between two configurations. */
export interface ConfigFinding {
  readonly isError: boolean
  readonly message: string
}

type Compared = Pick<HomeserverConfig, 'server' | 'database' | 'sessions' | 'signingKeys'>

/**
 * Holds the configuration of the server that takes over against that of the one that is taken over: users must be able to
 * log in, and other servers must recognise it. Rejects where a key cannot be read.
 */
export async function compareConfigs(from: Compared, to: Compared): Promise<ConfigFinding[]> {
  const findings: ConfigFinding[] = []
  const error = (message: string): number => findings.push({ isError: true, message })
  const warn = (message: string): number => findings.push({ isError: false, message })
  if (from.server.serverName !== to.server.serverName)
    error(`server_name is ${to.server.serverName}, and ${from.server.serverName} is to be taken over`)
  if (JSON.stringify(from.database) === JSON.stringify(to.database))
    error('The database is the one that is to be taken over: name another one')
  if (from.sessions.passwords.pepper !== to.sessions.passwords.pepper)
    error('password_config.pepper differs: nobody could log in with their password')
  const [theirs, ours] = await Promise.all([
    loadSigningKeys(from.signingKeys),
    loadSigningKeys(to.signingKeys),
  ])
  const known = new Set([...ours.current.map(({ keyId }) => keyId), ...ours.old.map(({ keyId }) => keyId)])
  for (const { keyId } of theirs.current) {
    if (!known.has(keyId))
      error(
        `The signing key ${keyId} is neither in signing_key_path nor in old_signing_keys: other servers could not check old events`,
      )
  }
  for (const { keyId } of theirs.old) {
    if (!known.has(keyId)) warn(`The key ${keyId} of old_signing_keys is missing`)
  }
  return findings
}
