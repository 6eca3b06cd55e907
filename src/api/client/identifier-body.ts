import { z } from 'zod'
import type { IdentifierWish } from '../../services/rooms/identifier-invitations.js'

/** Whom to invite by an identifier, and which identity server may know them. */
export const identifierBody = z.looseObject({
  medium: z.string(),
  address: z.string().max(500),
  id_server: z.string(),
  id_access_token: z.string(),
})

export function toIdentifierWish({
  medium,
  address,
  id_server: server,
  id_access_token: accessToken,
}: z.infer<typeof identifierBody>): IdentifierWish {
  return { medium, address, access: { server, accessToken } }
}
