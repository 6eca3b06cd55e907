import { z } from 'zod'
import { repeatedParam } from '../../http/query.js'
import { json } from '../../http/responses.js'
import { route } from '../../http/route.js'
import { invalidParam } from '../../protocol/errors.js'
import type { Services } from '../../services/services.js'
import { optionalBoolean, optionalString } from '../client/json-object.js'
import { directionParam, flagParam, nextOf, pageParams } from './paging.js'
import { listedUserJson, userJson } from './user-json.js'

const ORDERS = {
  name: 'userId',
  is_guest: 'isGuest',
  admin: 'isAdmin',
  user_type: 'userType',
  deactivated: 'isDeactivated',
  shadow_banned: 'isShadowBanned',
  displayname: 'displayName',
  avatar_url: 'avatarUrl',
  creation_ts: 'createdTs',
  last_seen_ts: 'lastSeenTs',
  locked: 'isLocked',
} as const

const listQuery = z.looseObject({
  ...pageParams,
  user_id: z.string().optional(),
  name: z.string().optional(),
  guests: flagParam,
  admins: flagParam,
  deactivated: flagParam,
  locked: flagParam,
  not_user_type: repeatedParam,
  order_by: z.enum(Object.keys(ORDERS) as [keyof typeof ORDERS]).default('name'),
  dir: directionParam,
})

type ListQuery = z.output<typeof listQuery>

/** Lists accounts; those that are deactivated only with `deactivated=true`. */
export const listUsers = route({
  operationId: 'adminListUsers',
  method: 'GET',
  path: '/_synapse/admin/v2/users',
  auth: 'admin',
  query: listQuery,
  handler: ({ query }, services) =>
    list(services, query, { isDeactivated: query.deactivated === true ? undefined : false }),
})

/** Lists accounts; without `deactivated`, all of them. */
export const listUsersOfAllKinds = route({
  operationId: 'adminListUsersV3',
  method: 'GET',
  path: '/_synapse/admin/v3/users',
  auth: 'admin',
  query: listQuery,
  handler: ({ query }, services) => list(services, query, { isDeactivated: query.deactivated }),
})

async function list(
  { accountOverviews, authenticationService }: Pick<Services, 'accountOverviews' | 'authenticationService'>,
  query: ListQuery,
  { isDeactivated }: { readonly isDeactivated: boolean | undefined },
): Promise<unknown> {
  // As Synapse, which has guests be wanted unless it is said otherwise.
  if (authenticationService !== undefined && query.guests !== false) {
    throw invalidParam('The guests parameter is not supported when delegating to MAS.')
  }
  const { accounts, total } = await accountOverviews.list(
    {
      isDeactivated,
      isAdmin: query.admins,
      isGuest: query.guests === false ? false : undefined,
      // Without it, locked accounts are left out.
      isLocked: query.locked === true ? undefined : false,
      searchUserId: query.name === undefined ? query.user_id : undefined,
      search: query.name,
      ...(query.not_user_type.length > 0 && { exceptUserTypes: query.not_user_type }),
    },
    { orderBy: ORDERS[query.order_by], isDescending: query.dir === 'b', ...pageOf(query) },
  )
  const next = nextOf(query, total)
  return {
    users: accounts.map(listedUserJson),
    total,
    ...(next !== undefined && { next_token: String(next) }),
  }
}

function pageOf({ from, limit }: ListQuery): { from: number; limit: number } {
  return { from, limit }
}

export const getUser = route({
  operationId: 'adminGetUser',
  method: 'GET',
  path: '/_synapse/admin/v2/users/:userId',
  auth: 'admin',
  handler: async ({ params }, { accountOverviews }) => userJson(await accountOverviews.show(params.userId)),
})

const email = z.looseObject({
  medium: z.literal('email'),
  address: z
    .string()
    .max(500)
    .regex(/^[^@\s]+@[^@\s]+$/, 'must be an e-mail address'),
})
const phone = z.looseObject({ medium: z.literal('msisdn'), address: z.string().min(1).max(100) })

/** Makes an account, or makes one that is there as the body says. */
export const putUser = route({
  operationId: 'adminPutUser',
  method: 'PUT',
  path: '/_synapse/admin/v2/users/:userId',
  auth: 'admin',
  body: z.looseObject({
    password: optionalString,
    logout_devices: optionalBoolean,
    // Null removes these two.
    displayname: z.string().nullable().optional(),
    avatar_url: z.string().nullable().optional(),
    threepids: z
      .array(z.union([email, phone]))
      .max(100)
      .optional(),
    external_ids: z
      .array(z.looseObject({ auth_provider: z.string().max(255), external_id: z.string().max(1_000) }))
      .max(1_000)
      .optional(),
    admin: optionalBoolean,
    deactivated: optionalBoolean,
    locked: optionalBoolean,
    user_type: z.string().nullable().optional(),
    // Nobody waits for approval here: a client that asks for it must not believe that it has been withheld.
    approved: z.literal(true, 'accounts do not wait for approval here: lock them').nullish(),
  }),
  async handler({ params: { userId }, requester, body }, { accountUpserts, accountOverviews }) {
    const isNew = await accountUpserts.put(requester, userId, {
      password: body.password,
      logoutDevices: body.logout_devices ?? true,
      displayName: body.displayname === null ? '' : body.displayname,
      avatarUrl: body.avatar_url === null ? '' : body.avatar_url,
      threepids: body.threepids,
      externalIds: body.external_ids?.map((id) => ({
        authProvider: id.auth_provider,
        externalId: id.external_id,
      })),
      isAdmin: body.admin,
      isDeactivated: body.deactivated,
      isLocked: body.locked,
      userType: body.user_type,
    })
    return json(isNew ? 201 : 200, userJson(await accountOverviews.show(userId)))
  },
})
