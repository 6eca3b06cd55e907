import { readFile } from 'node:fs/promises'
import {
  parseOldVerifyKey,
  parseSigningKeys,
  SigningKeyError,
  type OldVerifyKey,
  type SigningKey,
} from '../protocol/signing-keys.js'
import { ConfigError } from './config-error.js'
import type { HomeserverConfig } from './homeserver-config.js'

export interface ServerKeys {
  /** The one to sign with: the first of the current ones. */
  readonly signing: SigningKey
  readonly current: readonly SigningKey[]
  readonly old: readonly OldVerifyKey[]
}

/** Reads the keys of a configuration, from its file if they are not in it. Throws a `ConfigError`. */
export async function loadSigningKeys({
  inline,
  path,
  old,
}: HomeserverConfig['signingKeys']): Promise<ServerKeys> {
  const key = inline === undefined ? 'signing_key_path' : 'signing_key'
  const text = inline ?? (await readKeyFile(path))
  const current = checked(inline === undefined ? `${key}: ${path}` : key, () => parseSigningKeys(text))
  return {
    // A file without a key has been refused.
    signing: current[0]!,
    current,
    old: checked('old_signing_keys', () =>
      old.map(({ keyId, publicKey, expiredTs }) => parseOldVerifyKey(keyId, { key: publicKey, expiredTs })),
    ),
  }
}

async function readKeyFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const reason =
      code === 'ENOENT'
        ? `there is no signing key at ${path}: make one with mxhs keys generate --output ${path}`
        : message
    throw new ConfigError([{ location: undefined, path: 'signing_key_path', message: reason }])
  }
}

function checked<T>(path: string, parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    if (!(error instanceof SigningKeyError)) throw error
    throw new ConfigError([{ location: undefined, path, message: error.message }])
  }
}
