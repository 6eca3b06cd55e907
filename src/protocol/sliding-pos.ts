import { formatStreamToken, tryParseStreamToken, type StreamToken } from './stream-token.js'

/** A place on a connection of sliding sync: what `pos` stands for. */
export interface SlidingPos {
  readonly stream: StreamToken
  /** Of the stream of thread subscriptions. */
  readonly threads: number
  readonly connectionNid: number
  /** Which version of what the connection was told belongs to it. */
  readonly version: number
}

const SEPARATOR = '~'
const NUMBER = /^\d{1,15}$/

/** A stream token, so that history can be read from there, and the connection's part after `~`. */
export function formatSlidingPos({ stream, threads, connectionNid, version }: SlidingPos): string {
  return [formatStreamToken(stream), connectionNid, version, threads].join(SEPARATOR)
}

/** Undefined when the text is no position of a connection. */
export function tryParseSlidingPos(text: string): SlidingPos | undefined {
  const [first = '', ...rest] = text.split(SEPARATOR)
  const stream = tryParseStreamToken(first)
  if (stream === undefined || rest.length !== 3 || !rest.every((part) => NUMBER.test(part))) return undefined
  const [connectionNid = 0, version = 0, threads = 0] = rest.map(Number)
  return { stream, threads, connectionNid, version }
}
