import { z } from 'zod'
import { repeatedParam } from '../../http/query.js'

/** Servers that are said to be in a room; `server_name` is what older clients call them. */
export const viaQuery = z.object({ via: repeatedParam, server_name: repeatedParam })

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3joinroomidoralias */
export function viaOf(query: z.output<typeof viaQuery>): string[] {
  return [...query.via, ...query.server_name]
}
