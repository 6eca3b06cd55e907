import { invalidParam } from './errors.js'
import { tryParseSynapseToken } from './synapse-tokens.js'

/**
 * A point in everything that a client follows: per stream, the position up to which it has seen all. What `next_batch`
 * and `since` stand for. https://spec.matrix.org/latest/client-server-api/#syncing
 */
export interface StreamToken {
  readonly events: number
  readonly receipts: number
  readonly accountData: number
  readonly presence: number
  readonly typing: number
  readonly toDevice: number
  readonly deviceLists: number
  readonly pushRules: number
}

export type StreamTokenPart = keyof StreamToken

/** The order of the parts in the text. */
export const STREAM_TOKEN_PARTS: readonly StreamTokenPart[] = [
  'events',
  'receipts',
  'accountData',
  'presence',
  'typing',
  'toDevice',
  'deviceLists',
  'pushRules',
]

/** Before everything. */
export const STREAM_START: StreamToken = {
  events: 0,
  receipts: 0,
  accountData: 0,
  presence: 0,
  typing: 0,
  toDevice: 0,
  deviceLists: 0,
  pushRules: 0,
}

/** Those of Synapse have a part more at least, in another order. */
const TOKEN = /^s\d{1,15}(?:_\d{1,15}){0,7}$/

/** `s`, then the positions with `_` between them. */
export function formatStreamToken(token: StreamToken): string {
  return `s${STREAM_TOKEN_PARTS.map((part) => token[part]).join('_')}`
}

/** Undefined when the text is no stream token. Parts that are absent count as 0. */
export function tryParseStreamToken(text: string): StreamToken | undefined {
  if (!TOKEN.test(text)) return undefined
  const positions = text.slice(1).split('_').map(Number)
  const token: Record<StreamTokenPart, number> = { ...STREAM_START }
  for (const [index, part] of STREAM_TOKEN_PARTS.entries()) token[part] = positions[index] ?? 0
  return token
}

/** Throws 400 `M_INVALID_PARAM` when the text is no stream token. */
export function parseStreamToken(text: string): StreamToken {
  const token = tryParseStreamToken(text)
  if (!token) throw invalidParam('Invalid sync token')
  return token
}

/**
 * As `parseStreamToken`, for those who have followed along. Undefined for a position of the Synapse whose place this
 * server has taken: what came after it is not known, and the client begins anew.
 */
export function parseSince(text: string): StreamToken | undefined {
  return tryParseSynapseToken(text) ? undefined : parseStreamToken(text)
}
