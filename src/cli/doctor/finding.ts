import type { JsonObject } from '../../util/json.js'

/** `ok` and `info`: nothing is to be done; `warning`: something will go wrong, or is worse than it could be. */
export type Level = 'ok' | 'info' | 'warning' | 'error'

/** One thing that a check has found. */
export interface Finding {
  readonly level: Level
  /** What was seen, in a line. */
  readonly summary: string
  /** What comes of it. */
  readonly consequence?: string
  /** The command, or the line of the configuration, that mends it. */
  readonly cure?: string
  /** The same for programs. */
  readonly details?: JsonObject
  /** Mends it where that is safe, and says what it has done. */
  readonly mend?: () => Promise<string>
}

type Remedy = Pick<Finding, 'consequence' | 'cure' | 'details' | 'mend'>

export function ok(summary: string, details?: JsonObject): Finding {
  return { level: 'ok', summary, ...(details === undefined ? {} : { details }) }
}

export function info(summary: string, rest: Partial<Remedy> = {}): Finding {
  return { level: 'info', summary, ...rest }
}

/** A warning says what comes of it and what to do: without that it would only worry. */
export function warning(
  summary: string,
  rest: Remedy & Required<Pick<Remedy, 'consequence' | 'cure'>>,
): Finding {
  return { level: 'warning', summary, ...rest }
}

export function failure(
  summary: string,
  rest: Remedy & Required<Pick<Remedy, 'consequence' | 'cure'>>,
): Finding {
  return { level: 'error', summary, ...rest }
}

const RANKS: Readonly<Record<Level, number>> = { ok: 0, info: 1, warning: 2, error: 3 }

/** The worst of them; `ok` where there are none. */
export function worstOf(levels: Iterable<Level>): Level {
  let worst: Level = 'ok'
  for (const level of levels) if (RANKS[level] > RANKS[worst]) worst = level
  return worst
}
