import { readFile } from 'node:fs/promises'
import type { HomeserverConfig } from '../config/homeserver-config.js'
import { parseSigningKeys, SigningKeyError, type SigningKey } from '../protocol/signing-keys.js'

/**
 * The key with which the server signs. Throws a `SigningKeyError` when there is none: a server that made itself a new
 * one would be a stranger to all others.
 */
export async function loadSigningKey({ inline, path }: HomeserverConfig['signingKeys']): Promise<SigningKey> {
  const [key] = await parseSigningKeys(inline ?? (await readKeyFile(path)))
  if (key === undefined) throw new SigningKeyError('There is no signing key')
  return key
}

async function readKeyFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw new SigningKeyError(`The signing key ${path} cannot be read: ${(error as Error).message}`)
  }
}
