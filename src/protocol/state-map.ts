import type { Event } from './event.js'
import type { EventId } from './ids.js'

/** Names one piece of state: type and state key. */
export type StateKey = string & { readonly __stateKey: true }

/** One string for a (type, state key) pair, to be the key of a map. Neither part may contain NUL. */
export function stateKeyOf(type: string, stateKey: string): StateKey {
  return `${type}\u0000${stateKey}` as StateKey
}

/** The inverse of `stateKeyOf`. */
export function splitStateKey(key: StateKey): [type: string, stateKey: string] {
  const separator = key.indexOf('\u0000')
  return [key.slice(0, separator), key.slice(separator + 1)]
}

/** The state of a room at one point: which event holds each (type, state key). */
export type StateMap = ReadonlyMap<StateKey, EventId>

/** What the authorization rules ask of the state they judge against. */
export interface AuthState {
  get(type: string, stateKey: string): Event | undefined
}
