import { isJsonObject, type JsonObject, type JsonValue } from '../util/json.js'
import { checkKeys } from './check-keys.js'
import type { KeyPath } from './config-error.js'
import { loadSettings, type LoadedConfig, type LoadOptions } from './load.js'
import { maskSecrets } from './secret-keys.js'
import { mailSettings } from './sections/email.js'

/** A configuration with everything that it leaves out. */
export interface EffectiveConfig extends LoadedConfig {
  /**
   * By Synapse's names: what the files say stands as it is written, what they leave out has its default (times in
   * milliseconds, sizes in bytes) where it has one. Keys that are not served are left out; secrets are masked.
   */
  readonly effective: JsonObject
}

/** Reads a configuration and fills in the defaults. Throws a `ConfigError` as `loadConfig` does. */
export async function loadEffective(
  paths: readonly string[],
  options: LoadOptions = {},
): Promise<EffectiveConfig> {
  const { config, warnings, given, settings } = await loadSettings(paths, options)
  const email = settings.email === undefined ? undefined : mailSettings.parse(settings.email)
  const filled = fill(given, { ...settings, email }) as JsonObject
  for (const { path } of checkKeys(filled)) remove(filled, path)
  const sorted = Object.entries(filled).sort(([a], [b]) => (a < b ? -1 : 1))
  return { config, warnings, effective: maskSecrets(Object.fromEntries(sorted)) }
}

/** What the sections read under other names than those of the files: the parts of rate limits. */
const WRITTEN: Readonly<Record<string, string>> = { perSecond: 'per_second', burstCount: 'burst_count' }

function fill(given: JsonValue | undefined, read: unknown): JsonValue {
  if (isPlain(read) && (given === undefined || given === null || isJsonObject(given))) {
    const parts = Object.entries(read).map(([name, part]) => {
      const key = WRITTEN[name] ?? name
      return [key, fill(given?.[key], part)]
    })
    return Object.fromEntries(parts) as JsonObject
  }
  if (Array.isArray(read) && Array.isArray(given) && read.length === given.length) {
    return read.map((element, index) => fill(given[index], element))
  }
  if (given !== undefined && given !== null) return given
  if (Array.isArray(read)) return read.map((element) => fill(undefined, element))
  return typeof read === 'string' || typeof read === 'number' || typeof read === 'boolean' ? read : null
}

function remove(values: JsonObject, path: KeyPath): void {
  const map = path.slice(0, -1).reduce<JsonValue | undefined>((value, key) => {
    if (Array.isArray(value)) return value[Number(key)]
    return isJsonObject(value) ? value[key] : undefined
  }, values)
  if (isJsonObject(map)) Reflect.deleteProperty(map, String(path.at(-1)))
}

function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype
}
