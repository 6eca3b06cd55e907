import { parse } from 'node:querystring'
import { z } from 'zod'
import { invalidParam } from '../protocol/errors.js'

/** Parameters by name: a list where one is given several times. */
export type RawQuery = Readonly<Record<string, string | string[] | undefined>>

const NO_QUERY: RawQuery = Object.freeze({})
/** More parameters than this are ignored. */
const MAX_PARAMETERS = 1000

/** Reads what follows the `?`. Throws `M_INVALID_PARAM` for U+0000, which databases refuse. */
export function parseQuery(search: string): RawQuery {
  if (search === '') return NO_QUERY
  const query = parse(search, '&', '=', { maxKeys: MAX_PARAMETERS }) as RawQuery
  if (!search.includes('%00')) return query
  for (const [name, value] of Object.entries(query)) {
    if (`${name}${String(value)}`.includes('\u0000'))
      throw invalidParam('The query contains a null character')
  }
  return query
}

/** For schemas of queries: a parameter that may be given any number of times, as a list. */
export const repeatedParam = z
  .union([z.string(), z.array(z.string())])
  .optional()
  .transform((value) => (value === undefined ? [] : typeof value === 'string' ? [value] : value))

/** The only or first value of a parameter. */
export function firstParam(query: RawQuery, name: string): string | undefined {
  const value = query[name]
  return typeof value === 'object' ? value[0] : value
}
