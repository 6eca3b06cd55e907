import { isJsonObject } from '../util/json.js'
import { nearestOf } from '../util/edit-distance.js'
import type { KeyPath } from './config-error.js'
import type { KeyTable, KeyUse } from './key-use.js'
import { KNOWN_KEYS } from './known-keys.js'

/** What is to be said of a key. */
export interface KeyFinding {
  readonly path: KeyPath
  readonly isError: boolean
  readonly message: string
}

/** Looks at the keys of a configuration, not at their values: which are unknown, and which do nothing. */
export function checkKeys(values: Readonly<Record<string, unknown>>): readonly KeyFinding[] {
  return checkMap(values, KNOWN_KEYS, [])
}

function checkMap(
  values: Readonly<Record<string, unknown>>,
  table: KeyTable,
  path: KeyPath,
): readonly KeyFinding[] {
  return Object.entries(values).flatMap(([key, value]) => {
    const at = [...path, key]
    const use = Object.hasOwn(table, key) ? table[key] : undefined
    if (use === undefined) return [{ path: at, isError: true, message: unknownKey(key, table, path) }]
    // Nothing is as good as no key.
    return value === null || value === undefined ? [] : checkUse(value, use, at)
  })
}

function checkUse(value: unknown, use: KeyUse, path: KeyPath): readonly KeyFinding[] {
  switch (use.kind) {
    case 'served':
      return []
    case 'later':
      return asksForNothing(value)
        ? []
        : [{ path, isError: false, message: 'mxhs does not serve this key yet' }]
    case 'noEffect':
      return [{ path, isError: false, message: `has no effect: ${use.reason}` }]
    case 'old': {
      const message = `it is out of date: use ${use.key} (mxhs check-config --migrate puts it in its place)`
      return [{ path, isError: false, message }]
    }
    case 'map':
      return isJsonObject(value) ? checkMap(value, use.keys, path) : []
    case 'list':
      return Array.isArray(value)
        ? value.flatMap((element: unknown, index) => checkUse(element, use.of, [...path, index]))
        : []
  }
}

/**
 * Whether this is how a file says that it does not want something: false, an empty list or map, or a map that says so of
 * all that is in it, or that what it describes is not switched on.
 */
function asksForNothing(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 0
  if (!isJsonObject(value)) return value === false || value === null
  return value['enabled'] === false || Object.values(value).every(asksForNothing)
}

function unknownKey(key: string, table: KeyTable, path: KeyPath): string {
  const nearest = nearestOf(key, Object.keys(table))
  if (nearest !== undefined) return `unknown key; did you mean ${nearest}?`
  if (path.length > 0 && Object.hasOwn(KNOWN_KEYS, key))
    return 'unknown key here; it belongs to the top level'
  return 'unknown key'
}
