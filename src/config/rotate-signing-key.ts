import { readFile } from 'node:fs/promises'
import { formatSigningKeys, makeSigningKey, type SigningKey } from '../protocol/signing-keys.js'
import { randomSeed, randomToken } from '../util/random.js'
import { ConfigEditor, ownerOf } from './config-editor.js'
import { ConfigError } from './config-error.js'
import { configFilesAt } from './config-files.js'
import type { HomeserverConfig } from './homeserver-config.js'
import { replaceFile } from './replace-file.js'
import { loadSigningKeys } from './signing-key-file.js'

export interface RotatedKey {
  readonly keyId: string
  /** In unpadded Base64. */
  readonly publicKey: string
  readonly old: { readonly keyId: string; readonly publicKey: string; readonly expiredTs: number }
  /** The files that have been changed. */
  readonly files: readonly string[]
}

export interface RotateOptions {
  readonly paths: readonly string[]
  readonly config: Pick<HomeserverConfig, 'signingKeys'>
  /** Until when others take signatures of the old key. */
  readonly expiredTs: number
  /** Changes nothing. */
  readonly isDryRun?: boolean
}

/**
 * Makes a new key that signs in the place of the active one, which goes to `old_signing_keys`; further keys stay. All
 * files keep their other words. At no moment is there a key missing: the old one is published as such before the new one
 * takes its place. Throws a `ConfigError` where the key comes from no file that could be changed.
 */
export async function rotateSigningKey(options: RotateOptions): Promise<RotatedKey> {
  const { paths, config, expiredTs, isDryRun = false } = options
  const { current, signing } = await loadSigningKeys(config.signingKeys)
  const made = makeSigningKey(`a_${randomToken(4)}`, randomSeed())
  const keys = formatSigningKeys([made, ...current.filter(({ keyId }) => keyId !== signing.keyId)])
  const editors = await readEditors(paths)
  const owner = ownerOf(editors, 'signing_key')
  const hasInline = config.signingKeys.inline !== undefined
  if (hasInline) checkReplaceable(owner)
  const holder = hasInline ? owner : ownerOf(editors, 'signing_key_path')
  const list = ownerOf(editors, editors.some(has('old_signing_keys')) ? 'old_signing_keys' : 'server_name')
  const publicKey = signing.key.verifyKey.base64
  list.set(['old_signing_keys', signing.keyId], { key: publicKey, expired_ts: expiredTs })
  if (hasInline) holder.set(['signing_key'], keys.trimEnd())
  const files = [...new Set([list.file, hasInline ? holder.file : config.signingKeys.path])]
  if (!isDryRun) {
    await replaceFile(list.file, list.toString())
    if (!hasInline) await replaceFile(config.signingKeys.path, keys)
    else if (holder !== list) await replaceFile(holder.file, holder.toString())
  }
  return describe(made, { signing, expiredTs, files })
}

async function readEditors(paths: readonly string[]): Promise<ConfigEditor[]> {
  const files = (await Promise.all(paths.map(configFilesAt))).flat()
  return Promise.all(files.map(async (file) => new ConfigEditor(file, await readFile(file, 'utf8'))))
}

function has(key: string): (editor: ConfigEditor) => boolean {
  return (editor) => editor.get([key]) !== undefined
}

/** The key must stand in the file itself. */
function checkReplaceable(owner: ConfigEditor): void {
  const written = owner.get(['signing_key'])
  if (typeof written === 'string' && !written.includes('${')) return
  const message =
    'the key comes from the environment or a credential: put a new one there (mxhs keys generate), and the old one into ' +
    'old_signing_keys (mxhs keys export --old)'
  throw new ConfigError([{ location: undefined, path: 'signing_key', message }])
}

function describe(
  made: SigningKey,
  { signing, expiredTs, files }: { signing: SigningKey; expiredTs: number; files: readonly string[] },
): RotatedKey {
  return {
    keyId: made.keyId,
    publicKey: made.key.verifyKey.base64,
    old: { keyId: signing.keyId, publicKey: signing.key.verifyKey.base64, expiredTs },
    files,
  }
}
