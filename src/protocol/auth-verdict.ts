/**
 * What the authorization rules say of an event. `rule` is the number of the rule that refused it, as room version 12
 * counts them; rules that only older versions have are written `v1:4`, with the version whose numbering is meant.
 */
export type AuthVerdict =
  { readonly allowed: true } | { readonly allowed: false; readonly rule: string; readonly reason: string }

export const ALLOWED: AuthVerdict = { allowed: true }

export function refuse(rule: string, reason: string): AuthVerdict {
  return { allowed: false, rule, reason }
}
