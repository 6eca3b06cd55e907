import { isJsonObject, type JsonObject } from '../util/json.js'
import { KNOWN_KEYS } from './known-keys.js'
import { OLD_KEYS } from './old-keys.js'

/** An old key that cannot be taken for the new one, since that one is there too. */
export interface KeyConflict {
  readonly key: string
  readonly message: string
}

/**
 * Has old keys stand in `values` as what replaces them, as Synapse reads them: a file of many years starts a server.
 * What cannot be put together with a new key is given back, and left where it is.
 */
export function takeOldKeys(values: JsonObject): readonly KeyConflict[] {
  const conflicts: KeyConflict[] = []
  for (const { names, besideNew, translate, together } of OLD_KEYS) {
    const [first, ...others] = names.filter((name) => isOld(name) && (values[name] ?? null) !== null)
    if (first === undefined) continue
    const translated = translate(values)
    const present = Object.keys(translated).filter((key) => Object.hasOwn(values, key))
    const says = [first, ...others].find((name) => values[name] !== false && values[name] !== 0)
    const isByHand = present.length > 0 && besideNew === 'by hand' && says !== undefined
    const both = isByHand ? together?.(values) : undefined
    if (isByHand && both === undefined) {
      conflicts.push({ key: says, message: `say the same by ${present.join(' and ')}, which is there too` })
      continue
    }
    Object.assign(values, both)
    for (const [key, value] of Object.entries(translated)) {
      const given = values[key]
      if (!Object.hasOwn(values, key)) values[key] = value
      else if (besideNew === 'merged' && isJsonObject(given) && isJsonObject(value)) {
        values[key] = { ...value, ...given }
      }
    }
    for (const name of [first, ...others]) Reflect.deleteProperty(values, name)
  }
  return conflicts
}

function isOld(name: string): boolean {
  return Object.hasOwn(KNOWN_KEYS, name) && KNOWN_KEYS[name]?.kind === 'old'
}
