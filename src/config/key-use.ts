/** What becomes of a key of Synapse's configuration here. */
export type KeyUse =
  | { readonly kind: 'served' }
  /** Means something, but nothing here yet. */
  | { readonly kind: 'later' }
  /** Means nothing here, and nothing is lost. */
  | { readonly kind: 'noEffect'; readonly reason: string }
  /** The old name of what has another one now, `key`; it counts as that one. */
  | { readonly kind: 'old'; readonly key: string }
  /** A map whose keys are known one by one. */
  | { readonly kind: 'map'; readonly keys: KeyTable }
  | { readonly kind: 'list'; readonly of: KeyUse }

export type KeyTable = Readonly<Record<string, KeyUse>>

export const served: KeyUse = { kind: 'served' }

export const later: KeyUse = { kind: 'later' }

/** `reason` completes "has no effect: ...". */
export function noEffect(reason: string): KeyUse {
  return { kind: 'noEffect', reason }
}

/** For old names of what has another one now: what they mean stands in `OLD_KEYS`. */
export function replacedBy(key: string): KeyUse {
  return { kind: 'old', key }
}

export function map(keys: KeyTable): KeyUse {
  return { kind: 'map', keys }
}

export function list(of: KeyUse): KeyUse {
  return { kind: 'list', of }
}

/** The same for several keys. */
export function all(use: KeyUse, ...names: readonly string[]): KeyTable {
  return Object.fromEntries(names.map((name) => [name, use]))
}
