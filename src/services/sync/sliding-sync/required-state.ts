import { isJsonObject, type JsonValue } from '../../../util/json.js'
import type { UserId } from '../../../protocol/ids.js'

const WILDCARD = '*'
const LAZY = '$LAZY'
const ME = '$ME'
export const MEMBER = 'm.room.member'
/** Pieces that are remembered after the client has stopped to ask for them. */
const MAX_RETAINED = 100

interface Fields {
  /** `["*", "*"]`: everything, but of the types in `types` only the keys that stand there. */
  readonly everything: boolean
  /** State keys by type; `*` among them stands for all. */
  readonly types: ReadonlyMap<string, ReadonlySet<string>>
  /** State keys that are wanted of every type. */
  readonly anyType: ReadonlySet<string>
  /** Members are wanted where the timeline needs them. */
  readonly lazyMembers: boolean
  /** What is not wanted though the rest of this asks for it; `*` stands for all types or all keys. */
  readonly excluded?: readonly StatePair[]
}

/** A type and a state key. */
export type StatePair = readonly [type: string, stateKey: string]

const NO_KEYS: ReadonlySet<string> = new Set()

/**
 * Which state of a room a client wants. Immutable.
 * https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/4186-simplified-sliding-sync.md#requiredstaterequest
 */
export class RequiredState {
  static readonly none = new RequiredState({
    everything: false,
    types: new Map(),
    anyType: NO_KEYS,
    lazyMembers: false,
  })

  readonly everything: boolean
  readonly types: ReadonlyMap<string, ReadonlySet<string>>
  readonly anyType: ReadonlySet<string>
  readonly lazyMembers: boolean
  readonly excluded: readonly StatePair[]
  #text: string | undefined
  /** The newest answer of `followedBy` where nothing had changed. */
  #followed: { readonly next: RequiredState; readonly state: RequiredState } | undefined
  /** The newest answer of `union`. */
  #united: { readonly other: RequiredState; readonly state: RequiredState } | undefined

  private constructor({ everything, types, anyType, lazyMembers, excluded = [] }: Fields) {
    this.everything = everything
    this.types = types
    this.anyType = anyType
    this.lazyMembers = lazyMembers
    this.excluded = excluded
  }

  /** Of pairs of type and state key, as requests have them; `$ME` is `userId`. */
  static of(pairs: readonly StatePair[], userId: UserId): RequiredState {
    const everything = pairs.some(([type, key]) => type === WILDCARD && key === WILDCARD)
    const types = new Map<string, Set<string>>()
    const anyType = new Set<string>()
    let lazyMembers = false
    for (const [type, text] of pairs) {
      if (text === LAZY) {
        lazyMembers ||= type === MEMBER
        // Of everything, members are narrowed to those that are loaded lazily.
        if (everything && type === MEMBER) keysOf(types, MEMBER)
        continue
      }
      const key = text === ME ? userId : text
      if (type !== WILDCARD) keysOf(types, type).add(key)
      else if (key !== WILDCARD) anyType.add(key)
    }
    return new RequiredState({ everything, types, anyType, lazyMembers })
  }

  /** The same but for what some pairs name; members that are loaded lazily stay. */
  without(excluded: readonly StatePair[]): RequiredState {
    return new RequiredState({ ...this.#fields(), excluded })
  }

  /** Reads what `toJson` wrote. */
  static fromJson(json: JsonValue): RequiredState {
    if (!isJsonObject(json)) return RequiredState.none
    const { all, lazy, any, types, not } = json
    return new RequiredState({
      everything: all === true,
      lazyMembers: lazy === true,
      anyType: new Set(strings(any)),
      types: new Map(
        Object.entries(isJsonObject(types) ? types : {}).map(([type, keys]) => [
          type,
          new Set(strings(keys)),
        ]),
      ),
      excluded: (Array.isArray(not) ? not : []).flatMap((pair) => {
        const [type, key] = strings(pair)
        return type === undefined || key === undefined ? [] : [[type, key] as const]
      }),
    })
  }

  /** As text: the same for equal requests. */
  toJson(): string {
    this.#text ??= JSON.stringify({
      all: this.everything,
      lazy: this.lazyMembers,
      any: [...this.anyType].sort(),
      types: Object.fromEntries(
        [...this.types].sort(([a], [b]) => (a < b ? -1 : 1)).map(([type, keys]) => [type, [...keys].sort()]),
      ),
      ...(this.excluded.length > 0 && { not: this.excluded }),
    })
    return this.#text
  }

  /** Whether a piece of state is asked for by name; members that are loaded lazily are not. */
  matches(type: string, stateKey: string): boolean {
    if (this.#excludes(type, stateKey)) return false
    const keys = this.types.get(type)
    if (keys !== undefined) {
      if (keys.has(stateKey) || keys.has(WILDCARD)) return true
    } else if (this.everything) return true
    return this.anyType.has(stateKey)
  }

  /** Whether all pieces of a type are asked for. */
  wantsAllOf(type: string): boolean {
    const keys = this.types.get(type)
    return keys === undefined ? this.everything : keys.has(WILDCARD)
  }

  /** Everything that either asks for. */
  union(other: RequiredState): RequiredState {
    if (this === other || this.toJson() === other.toJson()) return this
    if (this.#united?.other !== other) this.#united = { other, state: this.#unite(other) }
    return this.#united.state
  }

  #unite(other: RequiredState): RequiredState {
    const types = new Map<string, ReadonlySet<string>>()
    for (const type of new Set([...this.types.keys(), ...other.types.keys()])) {
      const keys = new Set([...(this.types.get(type) ?? []), ...(other.types.get(type) ?? [])])
      const isAll = (one: RequiredState): boolean => one.everything && !one.types.has(type)
      if (isAll(this) || isAll(other)) keys.add(WILDCARD)
      types.set(type, keys)
    }
    const everything = this.everything || other.everything
    // Of everything, a type that is wanted as a whole needs no mention.
    if (everything) for (const [type, keys] of types) if (keys.has(WILDCARD)) types.delete(type)
    return new RequiredState({
      everything,
      types,
      anyType: new Set([...this.anyType, ...other.anyType]),
      lazyMembers: this.lazyMembers || other.lazyMembers,
      excluded: this.excluded.filter((pair) => other.#names(pair)),
    })
  }

  /**
   * What the client has been told of and follows once it asks for `next`: that, and the pieces of this by name that it
   * has dropped but that have not changed since (`hasChanged`; undefined: nothing has): should it ask for one again, it
   * has it already.
   */
  followedBy(
    next: RequiredState,
    hasChanged: ((type: string, stateKey: string) => boolean) | undefined,
  ): RequiredState {
    if (this === next || this.toJson() === next.toJson()) return this
    if (next.everything) return next
    if (hasChanged !== undefined) return this.#retain(next, hasChanged)
    // Most rooms of an answer share what they were asked for, and then what is remembered of it.
    if (this.#followed?.next !== next) this.#followed = { next, state: this.#retain(next, () => false) }
    return this.#followed.state
  }

  #retain(next: RequiredState, hasChanged: (type: string, stateKey: string) => boolean): RequiredState {
    const types = new Map<string, ReadonlySet<string>>(next.types)
    let retained = 0
    for (const [type, keys] of this.everything ? [] : this.types) {
      const wanted = next.types.get(type) ?? NO_KEYS
      if (wanted.has(WILDCARD)) continue
      const dropped = [...keys].filter(
        // What was asked for but left out the client has never been told.
        (key) => key !== WILDCARD && !wanted.has(key) && this.matches(type, key) && !hasChanged(type, key),
      )
      const kept = dropped.slice(0, MAX_RETAINED - retained)
      retained += kept.length
      if (kept.length > 0) types.set(type, new Set([...wanted, ...kept]))
    }
    const { everything, anyType, lazyMembers, excluded } = next
    return new RequiredState({ everything, types, anyType, lazyMembers, excluded })
  }

  #fields(): Fields {
    const { everything, types, anyType, lazyMembers, excluded } = this
    return { everything, types, anyType, lazyMembers, excluded }
  }

  #excludes(type: string, stateKey: string): boolean {
    return this.excluded.some(
      ([ofType, ofKey]) =>
        (ofType === WILDCARD || ofType === type) && (ofKey === WILDCARD || ofKey === stateKey),
    )
  }

  /** Whether a pair is one of those that are excluded. */
  #names([type, stateKey]: StatePair): boolean {
    return this.excluded.some(([ofType, ofKey]) => ofType === type && ofKey === stateKey)
  }

  /** Whether a key is asked for of every type: of everything, the types that are named there may lack it. */
  #hasOfEveryType(key: string): boolean {
    if (this.anyType.has(key)) return true
    return this.everything && [...this.types.keys()].every((type) => this.matches(type, key))
  }

  /** Whether this asks for anything that `known` does not cover. */
  exceeds(known: RequiredState): boolean {
    if (this === known || this.toJson() === known.toJson()) return false
    if (known.excluded.some((pair) => !this.#names(pair))) return true
    if (this.everything && !known.everything) return true
    if ([...this.anyType].some((key) => !known.#hasOfEveryType(key))) return true
    const types = this.everything ? new Set([...this.types.keys(), ...known.types.keys()]) : this.types.keys()
    for (const type of types) {
      if (known.wantsAllOf(type)) continue
      if (this.wantsAllOf(type)) return true
      for (const key of this.types.get(type) ?? NO_KEYS) if (!known.matches(type, key)) return true
    }
    return false
  }
}

function keysOf(types: Map<string, Set<string>>, type: string): Set<string> {
  let keys = types.get(type)
  if (keys === undefined) types.set(type, (keys = new Set()))
  return keys
}

function strings(value: JsonValue | undefined): string[] {
  return Array.isArray(value) ? value.filter((entry) => typeof entry === 'string') : []
}
