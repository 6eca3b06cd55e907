const SECOND_MS = 1000
const MINUTE_MS = 60 * SECOND_MS
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

const DURATION_UNITS: Readonly<Record<string, number>> = {
  s: SECOND_MS,
  m: MINUTE_MS,
  h: HOUR_MS,
  d: DAY_MS,
  w: 7 * DAY_MS,
  y: 365 * DAY_MS,
}

const SIZE_UNITS: Readonly<Record<string, number>> = {
  K: 1024,
  M: 1024 ** 2,
  G: 1024 ** 3,
  T: 1024 ** 4,
}

const QUANTITY = /^(-?\d+)([A-Za-z]?)$/

/** Milliseconds of a duration: a whole number of them, or one with a unit, as in `30s` or `1y` (365 days). */
export function parseDurationMs(raw: unknown): number | undefined {
  return parseQuantity(raw, DURATION_UNITS)
}

/** Bytes (or entries) of a size: a whole number, or one with a binary unit, as in `50M`. */
export function parseSize(raw: unknown): number | undefined {
  return parseQuantity(raw, SIZE_UNITS)
}

function parseQuantity(raw: unknown, units: Readonly<Record<string, number>>): number | undefined {
  if (typeof raw === 'number') return Number.isSafeInteger(raw) && raw >= 0 ? raw : undefined
  if (typeof raw !== 'string') return undefined
  const [, digits, unit] = QUANTITY.exec(raw.trim()) ?? []
  if (digits === undefined || unit === undefined) return undefined
  const factor = unit === '' ? 1 : units[unit]
  if (factor === undefined) return undefined
  const quantity = Number(digits) * factor
  return Number.isSafeInteger(quantity) && quantity >= 0 ? quantity : undefined
}
