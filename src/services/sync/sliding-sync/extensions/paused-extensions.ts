import type { PausedExtensions, SlidingPos } from '../../../../protocol/sliding-pos.js'
import type { StreamTokenPart } from '../../../../protocol/stream-token.js'

/** The streams whose changes an extension tells, where only the connection's position says what it has told. */
const STREAMS: readonly (readonly [name: string, streams: readonly (StreamTokenPart | 'threads')[]])[] = [
  ['account_data', ['accountData', 'pushRules']],
  ['e2ee', ['events', 'deviceLists']],
  ['io.element.msc4308.thread_subscriptions', ['threads']],
  ['typing', ['typing']],
]

/** As far as extensions are concerned. */
export type ExtensionPos = Pick<SlidingPos, 'stream' | 'threads' | 'paused'>

/**
 * The extensions that a request from `pos` does not ask for, with the positions up to which they have told everything: 0
 * where they never have.
 */
export function pausedIn(
  pos: ExtensionPos | undefined,
  asked: { has(name: string): boolean },
): PausedExtensions {
  const paused = new Map<string, readonly number[]>()
  for (const [name, streams] of STREAMS) {
    if (asked.has(name)) continue
    const told = streams.map((stream) => {
      if (pos === undefined) return 0
      return stream === 'threads' ? pos.threads : pos.stream[stream]
    })
    paused.set(name, pos?.paused.get(name) ?? told)
  }
  return paused
}

/**
 * Where an extension goes on that is asked for at `pos`: where the connection is, or where it had stopped; undefined where
 * it begins.
 */
export function resumedAt(pos: ExtensionPos | undefined, name: string): ExtensionPos | undefined {
  const told = pos?.paused.get(name)
  if (pos === undefined || told === undefined) return pos
  if (told.every((position) => position === 0)) return undefined
  const streams = STREAMS.find(([known]) => known === name)?.[1] ?? []
  const stream = { ...pos.stream }
  let { threads } = pos
  for (const [index, of] of streams.entries()) {
    const position = told[index] ?? 0
    if (of === 'threads') threads = position
    else stream[of] = position
  }
  return { ...pos, stream, threads }
}
