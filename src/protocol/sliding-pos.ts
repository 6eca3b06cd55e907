import { formatStreamToken, tryParseStreamToken, type StreamToken } from './stream-token.js'

/** By the names of extensions: the positions up to which each has told what it tells, of streams that only it knows. */
export type PausedExtensions = ReadonlyMap<string, readonly number[]>

/** A place on a connection of sliding sync: what `pos` stands for. */
export interface SlidingPos {
  readonly stream: StreamToken
  /** Of the stream of thread subscriptions. */
  readonly threads: number
  readonly connectionNid: number
  /** Which version of what the connection was told belongs to it. */
  readonly version: number
  /** The extensions that the client does not ask for at present. */
  readonly paused: PausedExtensions
}

const SEPARATOR = '~'
const NUMBER = /^\d{1,15}$/
const PAUSED = /^([a-z]\w*(?:\.[a-z]\w*)*)((?:\.\d{1,15}){1,8})$/
const MAX_PAUSED = 20

/** A stream token, so that history can be read from there, and the connection's part after `~`. */
export function formatSlidingPos({ stream, threads, connectionNid, version, paused }: SlidingPos): string {
  const pauses = [...paused].map(([name, positions]) => [name, ...positions].join('.'))
  return [formatStreamToken(stream), connectionNid, version, threads, ...pauses].join(SEPARATOR)
}

/** Undefined when the text is no position of a connection. */
export function tryParseSlidingPos(text: string): SlidingPos | undefined {
  const [first = '', ...rest] = text.split(SEPARATOR)
  const stream = tryParseStreamToken(first)
  const numbers = rest.slice(0, 3)
  if (stream === undefined || numbers.length !== 3 || !numbers.every((part) => NUMBER.test(part)))
    return undefined
  const paused = parsePaused(rest.slice(3))
  if (paused === undefined) return undefined
  const [connectionNid = 0, version = 0, threads = 0] = numbers.map(Number)
  return { stream, threads, connectionNid, version, paused }
}

function parsePaused(parts: readonly string[]): PausedExtensions | undefined {
  if (parts.length > MAX_PAUSED) return undefined
  const paused = new Map<string, readonly number[]>()
  for (const part of parts) {
    const [, name, positions] = PAUSED.exec(part) ?? []
    if (name === undefined || positions === undefined) return undefined
    paused.set(name, positions.slice(1).split('.').map(Number))
  }
  return paused
}
