import { invalidParam } from './errors.js'
import { tryParseSlidingPos } from './sliding-pos.js'
import { tryParseStreamToken } from './stream-token.js'
import { tryParseSynapseToken } from './synapse-tokens.js'

/**
 * A place in the history of a room: after the event of this depth and position of the events stream, before the next.
 * Without a depth, what had happened at that position of the stream.
 */
export interface PaginationToken {
  readonly depth?: number | undefined
  /** Negative among events that were fetched after the fact. */
  readonly streamOrdering: number
}

const TOPOLOGICAL = /^t(\d{1,16})-(-?\d{1,16})$/

/** `t<depth>-<position>`; `s<position>` where there is no depth. */
export function formatPaginationToken({ depth, streamOrdering }: PaginationToken): string {
  return depth === undefined ? `s${streamOrdering}` : `t${depth}-${streamOrdering}`
}

/**
 * Reads what `formatPaginationToken`, `/sync` or sliding sync gave, or the Synapse whose place this server has taken;
 * undefined for anything else.
 */
export function tryParsePaginationToken(text: string): PaginationToken | undefined {
  const match = TOPOLOGICAL.exec(text)
  if (match) {
    const depth = Number(match[1])
    const streamOrdering = Number(match[2])
    return Number.isSafeInteger(depth) && Number.isSafeInteger(streamOrdering)
      ? { depth, streamOrdering }
      : undefined
  }
  const token = tryParseStreamToken(text) ?? tryParseSlidingPos(text)?.stream
  return token ? { streamOrdering: token.events } : tryParseSynapseToken(text)
}

/** Throws 400 `M_INVALID_PARAM` naming the parameter when the text is no token of this server. */
export function parsePaginationToken(text: string, name: string): PaginationToken {
  const token = tryParsePaginationToken(text)
  if (!token) throw invalidParam(`${name} is no valid token`)
  return token
}
