/** A place in the history of a room, by the tokens of Synapse. */
export interface SynapsePlace {
  readonly depth: number | undefined
  readonly streamOrdering: number
}

/**
 * Positions in nine streams or more, of which the first is that of events: a position, a depth with a position, or the
 * lowest of several writers' positions with those of single ones.
 */
const TOKEN =
  /^(?:s(\d{1,15})|t(\d{1,15})-(-?\d{1,15})|m(\d{1,15})(?:~\d{1,9}\.\d{1,15}){1,100})(?:_m?\d{1,15}(?:~\d{1,9}\.\d{1,15}){0,100}){8,31}$/

/**
 * Reads a token that a client got from the Synapse whose place this server has taken: positions of events and depths are
 * the same here, those of other streams are not. Undefined for all other text, tokens of this server among it.
 */
export function tryParseSynapseToken(text: string): SynapsePlace | undefined {
  const match = TOKEN.exec(text)
  if (!match) return undefined
  const [, position, depth, placed, lowest] = match
  return {
    depth: depth === undefined ? undefined : Number(depth),
    streamOrdering: Number(position ?? placed ?? lowest),
  }
}
