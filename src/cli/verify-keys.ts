import type { HomeserverConfig } from '../config/homeserver-config.js'
import { loadSigningKeys, type ServerKeys } from '../config/signing-key-file.js'
import type { ServerName } from '../protocol/ids.js'
import { CommandFailure } from './failures.js'
import { fetchKeys, type PublishedKeys } from './federation-requests.js'

/** What somebody sees of this server's keys. */
export interface KeysSeen {
  /** The server itself, or a notary. */
  readonly by: string
  /** Whether it is a notary. */
  readonly isNotary: boolean
  /** What is not as the configuration says; empty when all is well. */
  readonly problems: readonly string[]
  /** Key IDs that were seen. */
  readonly keys: readonly string[]
}

/**
 * Asks this server by its name, as others would, and the servers that are trusted to know keys, for this server's keys,
 * and holds them against those of the configuration.
 */
export async function verifyKeys(
  config: HomeserverConfig,
  { notaries }: { notaries: readonly ServerName[] },
): Promise<readonly KeysSeen[]> {
  const own = await loadSigningKeys(config.signingKeys)
  const { serverName } = config.server
  const places = [undefined, ...notaries]
  return Promise.all(places.map((notary) => see({ config, own, serverName, notary })))
}

async function see(question: {
  config: HomeserverConfig
  own: ServerKeys
  serverName: ServerName
  notary: ServerName | undefined
}): Promise<KeysSeen> {
  const { config, own, serverName, notary } = question
  const about = { by: notary ?? serverName, isNotary: notary !== undefined }
  try {
    const published = await fetchKeys(config, { serverName, notary })
    const keys = published.keys.map(({ keyId }) => keyId)
    return { ...about, problems: compareKeys(own, published), keys }
  } catch (error) {
    if (!(error instanceof CommandFailure)) throw error
    return { ...about, problems: [error.message], keys: [] }
  }
}

/** What others see that is not so, or do not see. */
function compareKeys(own: ServerKeys, { keys }: PublishedKeys): string[] {
  const problems: string[] = []
  const known = new Map<string, { publicKey: string; isOld: boolean }>()
  for (const { keyId, key } of own.old) known.set(keyId, { publicKey: key.base64, isOld: true })
  for (const { keyId, key } of own.current) {
    known.set(keyId, { publicKey: key.verifyKey.base64, isOld: false })
  }
  const seen = new Set(keys.map(({ keyId }) => keyId))
  if (!seen.has(own.signing.keyId))
    problems.push(`${own.signing.keyId}, which the server signs with, is not seen`)
  for (const { keyId, publicKey, isOld } of keys) {
    const ours = known.get(keyId)
    if (ours === undefined) {
      if (!isOld) problems.push(`${keyId} is none of this configuration's keys`)
    } else if (ours.publicKey !== publicKey)
      problems.push(`${keyId} is another key than that of this configuration`)
    else if (isOld && !ours.isOld) problems.push(`${keyId} is seen as a key that is used no more`)
    else if (!isOld && ours.isOld) problems.push(`${keyId} is still seen as a key that is used`)
  }
  for (const { keyId } of own.old) if (!seen.has(keyId)) problems.push(`${keyId}, an old key, is not seen`)
  return problems
}
