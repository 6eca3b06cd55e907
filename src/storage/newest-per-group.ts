import type { Dialect } from './dialect.js'

export interface NewestPerGroup {
  /**
   * A FROM source of groups, called `g`. Its column `position` is where each begins: only rows after it are taken. It
   * stands in the statement once, so that it may have placeholders.
   */
  readonly groups: string
  /** Called `t`. */
  readonly table: string
  /** Which rows of the table belong to a group, without placeholders. */
  readonly match: string
  /** The column of the table that says what is newer; an index finds it for a group. */
  readonly order: string
  readonly limit: number
}

/**
 * A FROM clause of groups `g` joined with the newest rows `t` of each: as many index look-ups as groups, whatever the
 * planner thinks of their number.
 */
export function newestPerGroup(
  dialect: Dialect,
  { groups, table, match, order, limit }: NewestPerGroup,
): string {
  if (dialect.name === 'postgres') {
    return `${groups} AS g CROSS JOIN LATERAL (
      SELECT * FROM ${table} t WHERE ${match} AND t.${order} > g.position
      ORDER BY t.${order} DESC LIMIT ${limit}) AS t`
  }
  // SQLite has no LATERAL: looks up the first row that is one too many, and takes those after it.
  return `(SELECT g.*, COALESCE((
      SELECT t.${order} FROM ${table} t WHERE ${match} AND t.${order} > g.position
      ORDER BY t.${order} DESC LIMIT 1 OFFSET ${limit}), g.position) AS floor FROM ${groups} AS g) AS g
    CROSS JOIN ${table} t ON ${match} AND t.${order} > g.floor`
}
