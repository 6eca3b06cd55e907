/** https://spec.matrix.org/latest/appendices/#mapping-from-other-character-sets */
const KEPT = /^[a-z0-9\-./_+]$/

/**
 * The localpart for a name of another service: letters become lower-case, and what localparts cannot hold becomes
 * `=` with two hexadecimal digits for each byte.
 */
export function localpartFor(name: string): string {
  const lower = name.replace(/[A-Z]/g, (letter) => letter.toLowerCase())
  let localpart = ''
  for (const byte of Buffer.from(lower, 'utf8')) {
    const character = String.fromCharCode(byte)
    localpart += KEPT.test(character) ? character : `=${byte.toString(16).padStart(2, '0')}`
  }
  // A name that begins with _ would be one of an application service's.
  return localpart.replace(/^_/, '=5f')
}

/** How many names are tried of people whose own is taken. */
const MAX_TRIES = 1000

/** The name itself, then followed by 1, 2, 3 …: in groups, most likely the first of which has one that is free. */
export function* candidateGroups(localpart: string): Generator<readonly string[]> {
  for (let from = 0; from < MAX_TRIES; from = from === 0 ? 1 : from * 10) {
    const until = from === 0 ? 1 : from * 10
    yield Array.from({ length: until - from }, (_, index) => `${localpart}${from + index || ''}`)
  }
}
