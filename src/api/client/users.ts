import { z } from 'zod'
import { route } from '../../http/route.js'

const DEFAULT_LIMIT = 10

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3user_directorysearch */
export const searchUserDirectory = route({
  operationId: 'searchUserDirectory',
  method: 'POST',
  path: '/_matrix/client/v3/user_directory/search',
  auth: 'user',
  rateLimit: 'userDirectory',
  body: z.looseObject({ search_term: z.string(), limit: z.int().nullish() }),
  async handler({ requester, body }, { userDirectory }) {
    const limit = body.limit ?? DEFAULT_LIMIT
    const { users, limited } = await userDirectory.search(requester.userId, body.search_term, limit)
    return {
      limited,
      results: users.map(({ userId, displayName, avatarUrl }) => ({
        user_id: userId,
        ...(displayName !== undefined && { display_name: displayName }),
        ...(avatarUrl !== undefined && { avatar_url: avatarUrl }),
      })),
    }
  },
})
