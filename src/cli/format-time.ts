/** A time in milliseconds since 1970 for people: to the minute, in UTC. Nothing is `-`. */
export function formatTime(ms: number | undefined): string {
  if (ms === undefined) return '-'
  const date = new Date(ms)
  return Number.isNaN(date.getTime()) ? String(ms) : `${date.toISOString().slice(0, 16).replace('T', ' ')}Z`
}
