import { join } from 'node:path'
import { section } from '../section.js'
import {
  duration,
  flag,
  group,
  integer,
  listOf,
  mapOf,
  optional,
  text,
  value,
  withDefault,
} from '../values.js'

const DAY_MS = 24 * 60 * 60_000
const KEY_ID = /^ed25519:[A-Za-z0-9_]+$/

const publicKey = value('an Ed25519 public key in unpadded base64', (raw) =>
  typeof raw === 'string' && /^[A-Za-z0-9+/]{43}=?$/.test(raw) ? raw.replace('=', '') : undefined,
)

const trustedServer = group({
  server_name: text,
  verify_keys: withDefault(mapOf(publicKey, 'a map of key IDs and public keys'), {}),
  accept_keys_insecurely: withDefault(flag, false),
})

/** The keys with which the server signs, and whom it asks for those of others. */
export const signingKeys = section(
  {
    signing_key: optional(text),
    signing_key_path: optional(text),
    old_signing_keys: withDefault(
      mapOf(group({ key: publicKey, expired_ts: integer() }), 'a map of key IDs'),
      {},
    ),
    key_refresh_interval: withDefault(duration, DAY_MS),
    trusted_key_servers: withDefault(listOf(trustedServer, 'a list of servers'), []),
    federation_verify_certificates: withDefault(flag, true),
  },
  (raw, context) => {
    for (const keyId of Object.keys(raw.old_signing_keys)) {
      if (!KEY_ID.test(keyId)) {
        context.fail(['old_signing_keys', keyId], 'expected a key ID such as ed25519:a_AbCd')
      }
    }
    raw.trusted_key_servers.forEach(({ verify_keys, accept_keys_insecurely }, index) => {
      const isProven = raw.federation_verify_certificates || Object.keys(verify_keys).length > 0
      if (isProven || accept_keys_insecurely) return
      context.fail(
        ['trusted_key_servers', index],
        'nothing would prove who answers: name its verify_keys, or set accept_keys_insecurely',
      )
    })
    return {
      /** The key itself, as the lines of a key file. */
      inline: raw.signing_key,
      /** The key file; beside the configuration if that does not say. Not used where there is `inline`. */
      path: raw.signing_key_path ?? join(context.configDir, `${context.serverName}.signing.key`),
      old: Object.entries(raw.old_signing_keys).map(([keyId, { key, expired_ts: expiredTs }]) => ({
        keyId,
        publicKey: key,
        expiredTs,
      })),
      /** How long others may keep our keys before they ask again. */
      validityMs: raw.key_refresh_interval,
      trustedServers: raw.trusted_key_servers.map((server) => ({
        serverName: server.server_name,
        verifyKeys: server.verify_keys,
        acceptsInsecurely: server.accept_keys_insecurely,
      })),
    }
  },
)
